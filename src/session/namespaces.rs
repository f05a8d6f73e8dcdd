//! Which namespaces a client has joined, and by when it must have joined its first.
//!
//! ```text
//!               CONNECT               let in
//!     (absent) ─────────▶ Connecting ────────▶ Connected
//!         ▲                   │ refused            │ DISCONNECT, or put out
//!         └───────────────────┴────────────────────┘
//! ```

use super::time::Time;

/// A client's namespaces. `N` names a namespace, `S` the socket that is connected to it.
#[derive(Debug)]
pub struct Namespaces<N, S> {
    members: Vec<(N, Option<S>)>,
    connect_by: Time,
}

/// A packet that the client's state does not allow: the session is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet does not fit the state of its namespace")]
pub struct Violation;

impl<N: PartialEq + Copy, S: Copy> Namespaces<N, S> {
    /// A client that must have joined a namespace by `connect_by`.
    pub fn new(connect_by: Time) -> Self {
        Namespaces { members: Vec::new(), connect_by }
    }

    /// A CONNECT came: the namespace is `Connecting`. Neither a second one nor one for a namespace that is
    /// already joined is allowed.
    pub fn handle_connect(&mut self, namespace: N) -> Result<(), Violation> {
        if self.members.iter().any(|(n, _)| *n == namespace) {
            return Err(Violation);
        }
        self.members.push((namespace, None));
        Ok(())
    }

    /// The client was let in. `false`: it has left in the meantime, the socket must not be.
    pub fn connected(&mut self, namespace: N, socket: S) -> bool {
        match self.members.iter_mut().find(|(n, socket)| *n == namespace && socket.is_none()) {
            Some(member) => {
                member.1 = Some(socket);
                self.connect_by = Time::NEVER;
                true
            }
            None => false,
        }
    }

    /// The socket that packets for this namespace are for. An error where there is none.
    pub fn socket(&self, namespace: N) -> Result<S, Violation> {
        self.members.iter().find(|(n, _)| *n == namespace).and_then(|(_, socket)| *socket).ok_or(Violation)
    }

    /// The client leaves, or was refused.
    pub fn remove(&mut self, namespace: N) {
        self.members.retain(|(n, _)| *n != namespace);
        self.members.shrink_to_fit();
    }

    /// All that are connected.
    pub fn sockets(&self) -> impl Iterator<Item = S> + '_ {
        self.members.iter().filter_map(|(_, socket)| *socket)
    }

    /// When the client must have joined a namespace; never again once it has.
    pub fn poll_timeout(&self) -> Time {
        self.connect_by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_joins_once_and_may_come_back() {
        let mut namespaces = Namespaces::new(Time(45));
        assert_eq!(namespaces.socket('a'), Err(Violation), "an event before CONNECT");
        namespaces.handle_connect('a').unwrap();
        assert_eq!(namespaces.socket('a'), Err(Violation), "an event before the answer");
        assert_eq!(namespaces.handle_connect('a'), Err(Violation), "a second CONNECT");
        assert_eq!(namespaces.poll_timeout(), Time(45), "not in yet");
        assert!(namespaces.connected('a', 1));
        assert_eq!((namespaces.socket('a'), namespaces.poll_timeout()), (Ok(1), Time::NEVER));
        assert_eq!(namespaces.handle_connect('a'), Err(Violation), "CONNECT to where it is");
        namespaces.remove('a');
        namespaces.handle_connect('a').unwrap();
        assert!(namespaces.connected('a', 2));
        assert_eq!(namespaces.sockets().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn who_leaves_while_connecting_is_not_let_in() {
        let mut namespaces = Namespaces::new(Time(45));
        namespaces.handle_connect('a').unwrap();
        namespaces.remove('a');
        assert!(!namespaces.connected('a', 1));
    }
}
