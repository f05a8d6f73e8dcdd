//! Sockets come and go: CONNECT, the middleware's decision, DISCONNECT.

use std::sync::Arc;

use super::run;
use super::{Core, Entry, Hub, Member, Namespace};
use crate::close::CloseReason;
use crate::ids::{Key, SocketId};
use crate::proto::sio::Kind;
use crate::session::Violation;
use crate::shard::{Left, Memberships, Rooms};
use crate::socketio::ack::AckError;
use crate::socketio::encode::packet;
use crate::socketio::op::Op;
use crate::socketio::recovery::Claim;
use crate::socketio::{Handshake, Refused, Socket};

impl Hub {
    /// A CONNECT came.
    pub(super) fn connect(
        &mut self,
        core: &mut Core,
        session: Key,
        name: &str,
        auth: &str,
    ) -> Result<(), Violation> {
        let Some(namespace) = self.resolve(name) else {
            // The reference server's words.
            refuse(core, session, name, &Refused::new("Invalid namespace"));
            return Ok(());
        };
        let Some(client) = Self::socket_io(core, session) else { return Ok(()) };
        let Some(of) = self.namespaces.get_mut(namespace) else { return Ok(()) };
        let (name, io, shard) = (of.name.clone(), self.io.clone(), self.id);
        let handshake = Handshake::new(client.request.clone(), auth);
        let sockets = &mut self.sockets;
        let key = client.namespaces.handle_connect(namespace, || {
            sockets.insert_with(|key| Entry {
                socket: Socket::new(SocketId::random(shard, key.slot), name, io, handshake),
                namespace,
                session,
                place: None,
                mark: 0,
                memberships: Memberships::default(),
                track: None,
                extra: None,
            })
        })?;
        of.sockets += 1;
        match self.recovery.as_ref().and_then(|_| Claim::of(auth)) {
            Some(claim) => self.claim(core, key, claim),
            None => self.decide(core, key),
        }
        Ok(())
    }

    /// Asks the middleware whether a socket may join.
    pub(super) fn decide(&mut self, core: &mut Core, key: Key) {
        let Some(entry) = self.sockets.get(key) else { return };
        let Some(of) = self.namespaces.get_mut(entry.namespace) else { return };
        let (socket, middleware) = (entry.socket.clone(), of.handlers(&self.io).middleware.clone());
        if middleware.is_empty() {
            return self.admit(core, &socket.id(), Ok(()));
        }
        run::begin("connect", socket.id(), || {
            Ok(Box::pin(async move {
                let mut verdict = Verdict { socket: socket.clone(), decision: None };
                for decide in middleware {
                    let decision = decide(socket.clone()).await;
                    if decision.is_err() {
                        verdict.decision = Some(decision);
                        return;
                    }
                }
                verdict.decision = Some(Ok(()));
            }))
        });
    }

    /// The namespace of this name on this shard, if there is one of that name at all.
    fn resolve(&mut self, name: &str) -> Option<Key> {
        if let Some(key) = self.by_name.get(name) {
            return Some(*key);
        }
        let (mut definition, mut fixed) = self.io.definition(name)?;
        let name: Arc<str> = name.into();
        let mut version = definition.version();
        // It may have become one of its own just before: then the version says nothing of that any more.
        if let Some(own) = self.io.defined(&name) {
            (version, fixed, definition) = (own.version(), true, own);
        }
        let handlers = definition.handlers();
        let (members, rooms) = (Vec::new(), Rooms::default());
        let key = self.namespaces.insert_with(|_| Namespace {
            name: name.clone(),
            definition,
            fixed,
            version,
            handlers,
            sockets: 0,
            members,
            rooms,
        });
        self.by_name.insert(name, key);
        Some(key)
    }

    /// The middleware has decided on a socket.
    pub(super) fn admit(&mut self, core: &mut Core, id: &SocketId, decision: Result<(), Refused>) {
        let Some(key) = self.find(id) else { return };
        let Some(entry) = self.sockets.get_mut(key) else { return };
        let (namespace, session) = (entry.namespace, entry.session);
        if entry.place.is_some() {
            return;
        }
        if let Err(refused) = decision {
            refuse(core, session, entry.socket.namespace_name(), &refused);
            if let Some(client) = Self::socket_io(core, session) {
                client.namespaces.remove(namespace);
            }
            return self.remove(core, key, CloseReason::ServerDisconnect);
        }
        let let_in =
            Self::socket_io(core, session).is_some_and(|client| client.namespaces.connected(namespace));
        if !let_in || !core.is_open(session) {
            return self.remove(core, key, CloseReason::TransportClose);
        }
        let Ok(tracked) = self.track_in(key) else {
            // It tries once more, and is somebody new then.
            return core.close(session, CloseReason::TransportError);
        };
        let (Some(of), Some(entry)) = (self.namespaces.get_mut(namespace), self.sockets.get_mut(key)) else {
            return;
        };
        entry.place = u32::try_from(of.members.len()).ok();
        of.members.push(Member { socket: key, session });
        entry.socket.set_connected(true);
        let json = match &tracked {
            Some((pid, _)) => format!("{{\"sid\":\"{id}\",\"pid\":\"{pid}\"}}"),
            None => format!("{{\"sid\":\"{id}\"}}"),
        };
        core.send(session, &packet(Kind::Connect, entry.socket.namespace_name(), json.as_bytes()));
        let (handlers, socket) = (of.handlers(&self.io).clone(), entry.socket.clone());
        let back = tracked.and_then(|(_, back)| back);
        if let Some(back) = &back {
            self.move_rooms(core, key, &back.rooms, &[]);
            self.replay(core, key);
        }
        let extra = self.sockets.get_mut(key).and_then(|entry| entry.extra.as_mut());
        if let Some(early) =
            extra.map(|extra| std::mem::take(&mut extra.early)).filter(|early| !early.is_empty())
        {
            core.send_copy(session, &early);
        }
        self.set_deadline(core, session);
        for on_connect in &handlers.on_connect {
            run::begin("connect", *id, || Ok(on_connect(socket.clone())));
        }
    }

    /// A socket leaves its namespace; its client stays.
    pub(super) fn leave(&mut self, core: &mut Core, key: Key, reason: CloseReason) {
        let Some(entry) = self.sockets.get(key) else { return };
        // Also where the connection is about to be closed, as the reference server does it: a client that is put out
        // on purpose is to know, so that it does not come straight back.
        if matches!(reason, CloseReason::ServerDisconnect | CloseReason::ForcedClose) {
            core.send(entry.session, &packet(Kind::Disconnect, entry.socket.namespace_name(), b""));
        }
        if let Some(client) = Self::socket_io(core, entry.session) {
            client.namespaces.remove(entry.namespace);
        }
        self.remove(core, key, reason);
    }

    /// A socket is no more.
    pub(super) fn remove(&mut self, core: &mut Core, key: Key, reason: CloseReason) {
        let Some(mut entry) = self.sockets.remove(key) else { return };
        if let Some(session) = self.pack(&mut entry, reason) {
            self.keep(core, session);
        }
        let was_connected = entry.place.is_some();
        let (mut rooms, mut on_disconnect) = (Vec::new(), Vec::new());
        if let Some(namespace) = self.namespaces.get_mut(entry.namespace) {
            if let Some(place) = entry.place {
                let place = place as usize;
                namespace.members.swap_remove(place);
                if let Some(moved) = namespace.members.get(place)
                    && let Some(moved) = self.sockets.get_mut(moved.socket)
                {
                    moved.place = entry.place;
                }
            }
            rooms.extend(entry.memberships.names().cloned());
            for room in &rooms {
                let sockets = &mut self.sockets;
                let left = namespace.rooms.leave(room, &mut entry.memberships, move |key| {
                    sockets.get_mut(key).map(|entry| &mut entry.memberships)
                });
                if left == Left::AsLast {
                    self.io.room_closed(&namespace.name, room, self.id);
                }
            }
            on_disconnect.clone_from(&namespace.handlers(&self.io).on_disconnect);
            namespace.sockets -= 1;
            if !namespace.fixed && namespace.sockets == 0 {
                self.by_name.remove(entry.socket.namespace_name());
                self.namespaces.remove(entry.namespace);
            }
        }
        entry.socket.set_connected(false);
        let id = entry.socket.id();
        let extra = entry.extra.map(|extra| *extra).unwrap_or_default();
        for waiter in extra.acks.into_waiters() {
            waiter.tell(Err(AckError::Disconnected));
        }
        if was_connected {
            for handler in extra.on_disconnect.into_iter().chain(on_disconnect) {
                run::begin("disconnect", id, || Ok(handler(entry.socket.clone(), reason, rooms.clone())));
            }
        }
    }
}

fn refuse(core: &mut Core, session: Key, namespace: &str, refused: &Refused) {
    // A message and data that came out of serde go back into it.
    let json = serde_json::to_vec(refused).unwrap_or_else(|_| b"{}".to_vec());
    core.send(session, &packet(Kind::ConnectError, namespace, &json));
}

/// Posts the middleware's decision. A middleware that panics, or is cut off, has refused.
struct Verdict {
    socket: Socket,
    decision: Option<Result<(), Refused>>,
}

impl Drop for Verdict {
    fn drop(&mut self) {
        let socket = self.socket.id();
        let decision = self.decision.take().unwrap_or_else(|| Err(Refused::new("Internal error")));
        self.socket.ask(Op::Admit { socket, decision });
    }
}
