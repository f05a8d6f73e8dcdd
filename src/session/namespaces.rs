//! Which namespaces a client has joined, and by when it must have joined its first.
//!
//! ```text
//!               CONNECT               let in
//!     (absent) ─────────▶ Connecting ────────▶ Connected
//!         ▲                   │ refused            │ DISCONNECT, or put out
//!         └───────────────────┴────────────────────┘
//! ```

use super::time::Time;

/// A client's namespaces. `N` names a namespace, `S` the socket that stands for the client in it.
#[derive(Debug)]
pub struct Namespaces<N, S> {
    members: Vec<Member<N, S>>,
    connect_by: Time,
}

#[derive(Debug)]
struct Member<N, S> {
    namespace: N,
    socket: S,
    connected: bool,
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

    /// A CONNECT came: the namespace is `Connecting`, with the socket that `make` makes. Neither a second one nor
    /// one for a namespace that is already joined is allowed.
    pub fn handle_connect(&mut self, namespace: N, make: impl FnOnce() -> S) -> Result<S, Violation> {
        if self.members.iter().any(|member| member.namespace == namespace) {
            return Err(Violation);
        }
        let socket = make();
        self.members.push(Member { namespace, socket, connected: false });
        Ok(socket)
    }

    /// The client was let in. `false`: it has left in the meantime, the socket must not be.
    pub fn connected(&mut self, namespace: N) -> bool {
        let member =
            self.members.iter_mut().find(|member| member.namespace == namespace && !member.connected);
        let Some(member) = member else { return false };
        member.connected = true;
        self.connect_by = Time::NEVER;
        true
    }

    /// The socket that packets for this namespace are for. An error where there is none that is connected.
    pub fn socket(&self, namespace: N) -> Result<S, Violation> {
        let member = self.members.iter().find(|member| member.namespace == namespace && member.connected);
        member.map(|member| member.socket).ok_or(Violation)
    }

    /// The client leaves, or was refused.
    pub fn remove(&mut self, namespace: N) {
        self.members.retain(|member| member.namespace != namespace);
        self.members.shrink_to_fit();
    }

    /// All sockets, those that are connecting included.
    pub fn sockets(&self) -> impl Iterator<Item = S> + '_ {
        self.members.iter().map(|member| member.socket)
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
        assert_eq!(namespaces.handle_connect('a', || 1), Ok(1));
        assert_eq!(namespaces.socket('a'), Err(Violation), "an event before the answer");
        assert_eq!(namespaces.handle_connect('a', || 2), Err(Violation), "a second CONNECT");
        assert_eq!(namespaces.poll_timeout(), Time(45), "not in yet");
        assert!(namespaces.connected('a'));
        assert_eq!((namespaces.socket('a'), namespaces.poll_timeout()), (Ok(1), Time::NEVER));
        assert_eq!(namespaces.handle_connect('a', || 2), Err(Violation), "CONNECT to where it is");
        namespaces.remove('a');
        assert_eq!(namespaces.handle_connect('a', || 2), Ok(2));
        assert!(namespaces.connected('a'));
        assert_eq!(namespaces.sockets().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn who_leaves_while_connecting_is_not_let_in() {
        let mut namespaces = Namespaces::new(Time(45));
        assert_eq!(namespaces.handle_connect('a', || 1), Ok(1));
        namespaces.remove('a');
        assert!(!namespaces.connected('a'));
    }
}
