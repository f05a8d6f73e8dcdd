//! Sessions, and what is meant for them.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::Content;
use crate::ids::{Offset, Pid, SocketId};
use crate::socketio::cluster::RoomsHeld;
use crate::socketio::extensions::Extensions;
use crate::socketio::namespace::Definition;
use crate::socketio::op::{Selection, Target, Which};

/// What a client comes back to.
#[derive(Debug)]
pub struct Session {
    pub pid: Pid,
    pub id: SocketId,
    pub namespace: Arc<str>,
    pub definition: Arc<Definition>,
    pub rooms: HashSet<Arc<str>>,
    pub luggage: Luggage,
    /// The channels of its rooms, so that they are not given up while it is away.
    pub held: Option<RoomsHeld>,
    /// The place in the log of its shard from where on something may be for it.
    pub since: u64,
}

/// A session on its way to the shard that its client has come to.
#[derive(Debug)]
pub struct Found {
    pub session: Session,
    /// Of the events of the last seconds, those that its client has had. The shard that it has come to may hear of some of
    /// them only now.
    pub had: Vec<Offset>,
    /// What its client has missed, in order.
    pub missed: Vec<(Offset, Content)>,
}

/// What the program kept with a socket.
#[derive(Debug, Default)]
pub struct Luggage {
    /// On this node.
    pub extensions: Option<Extensions>,
    /// As bytes, where other nodes may need it or have left it.
    pub saved: Bytes,
}

/// Somebody that events are meant for, or not.
#[derive(Clone, Copy)]
pub struct Who<'a> {
    pub id: SocketId,
    pub namespace: &'a str,
    pub definition: &'a Arc<Definition>,
    pub rooms: &'a HashSet<Arc<str>>,
}

impl Session {
    pub fn who(&self) -> Who<'_> {
        Who { id: self.id, namespace: &self.namespace, definition: &self.definition, rooms: &self.rooms }
    }
}

impl Who<'_> {
    /// Whether something for this target is for it.
    pub fn is_meant(&self, target: &Target) -> bool {
        match target {
            Target::Socket(id) | Target::Guest(id) => *id == self.id,
            Target::Sockets(selection) => self.is_selected(selection),
        }
    }

    /// Whether the target is one other socket.
    pub fn is_other(&self, target: &Target) -> bool {
        !matches!(target, Target::Sockets(_)) && !self.is_meant(target)
    }

    fn is_selected(&self, selection: &Selection) -> bool {
        let in_namespace = match &selection.namespace {
            Which::Named(name) => **name == *self.namespace,
            Which::Of(definition) => self.definition.is_of(definition),
        };
        let is_in = |room: &Arc<str>| self.rooms.contains(room) || self.id.is_named(room);
        in_namespace
            && selection.skip != Some(self.id)
            && (selection.rooms.is_empty() || selection.rooms.iter().any(is_in))
            && !selection.except.iter().any(is_in)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::sync::LazyLock;

    static DEFINITION: LazyLock<Arc<Definition>> = LazyLock::new(Arc::default);

    pub fn somebody(id: SocketId, rooms: &HashSet<Arc<str>>) -> Who<'_> {
        Who { id, namespace: "/", definition: &DEFINITION, rooms }
    }

    pub fn session(id: SocketId, rooms: &[&str]) -> Session {
        Session {
            pid: Pid::random(0, id.slot),
            id,
            namespace: "/".into(),
            definition: DEFINITION.clone(),
            rooms: rooms.iter().map(|room| Arc::from(*room)).collect(),
            luggage: Luggage::default(),
            held: None,
            since: 0,
        }
    }

    pub fn sockets(rooms: &[&str], except: &[&str], skip: Option<SocketId>) -> Target {
        let names = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
        let namespace = Which::Named("/".into());
        Target::Sockets(Arc::new(Selection { namespace, rooms: names(rooms), except: names(except), skip }))
    }

    pub fn room(name: &str) -> Target {
        sockets(&[name], &[], None)
    }

    #[test]
    fn who_is_meant() {
        let (id, other) = (SocketId::random(0, 0), SocketId::random(0, 0));
        let rooms = HashSet::from(["a".into(), "b".into()]);
        let who = somebody(id, &rooms);
        let (text, text_of_other) = (id.to_string(), other.to_string());
        for target in [
            sockets(&[], &[], None),
            sockets(&["a"], &[], None),
            sockets(&["x", "b"], &["y"], Some(other)),
            sockets(&[&text], &[&text_of_other], None),
            Target::Socket(id),
        ] {
            assert!(who.is_meant(&target) && !who.is_other(&target), "{target:?}");
        }
        for target in [
            sockets(&["x"], &[], None),
            sockets(&[], &["a"], None),
            sockets(&["a"], &[&text], None),
            sockets(&["a"], &[], Some(id)),
            sockets(&[&text_of_other], &[], None),
        ] {
            assert!(!who.is_meant(&target) && !who.is_other(&target), "{target:?}");
        }
        assert!(!who.is_meant(&Target::Socket(other)) && who.is_other(&Target::Socket(other)));
        let elsewhere = Which::Named("/other".into());
        let selection = Selection { namespace: elsewhere, rooms: vec![], except: vec![], skip: None };
        assert!(!who.is_meant(&Target::Sockets(Arc::new(selection))));
    }
}
