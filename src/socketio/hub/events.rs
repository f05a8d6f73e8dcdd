//! Packets from clients.

use std::sync::Arc;

use bytes::Bytes;

use super::run;
use super::{Core, Hub};
use crate::close::CloseReason;
use crate::ids::Key;
use crate::proto::sio::{self, DecodeError, Kind, Packet};
use crate::session::Message;
use crate::shard::Limit;
use crate::socketio::ack::Ack;
use crate::socketio::args::{self, Args};
use crate::socketio::handler::{Erased, Event};
use crate::socketio::io::IoInner;
use crate::socketio::namespace::AnyEvent;

/// The client does not keep to the protocol: it is closed.
struct Malformed;

impl Hub {
    pub(super) fn packet(&mut self, core: &mut Core, session: Key, message: Message<'_>) {
        let handled = match message {
            Message::Text(text) => self.text(core, session, text),
            Message::Binary(data) => self.attachment(core, session, Bytes::from(data.into_owned())),
        };
        if handled.is_err() {
            self.close_client(core, session, CloseReason::ParseError);
        }
    }

    /// Ends a client: its sockets leave now, and the session ends behind what is queued.
    pub(super) fn close_client(&mut self, core: &mut Core, session: Key, reason: CloseReason) {
        if let Some(client) = Self::socket_io(core, session) {
            let sockets: Vec<_> = client.namespaces.sockets().collect();
            // To its sockets it is the same whether the connection goes, too (the reference server's `client._disconnect`).
            let of_sockets =
                if reason == CloseReason::ForcedClose { CloseReason::ServerDisconnect } else { reason };
            for socket in sockets {
                self.leave(core, socket, of_sockets);
            }
        }
        core.close(session, reason);
    }

    fn text(&mut self, core: &mut Core, session: Key, text: &str) -> Result<(), Malformed> {
        let max_attachments = core.settings(session).map_or(0, |settings| settings.max_attachments);
        let packet = Packet::decode(text, max_attachments).map_err(|error| {
            if error == DecodeError::TooManyAttachments {
                core.reach(Limit::Attachments);
            }
            Malformed
        })?;
        let Some(client) = Self::socket_io(core, session) else { return Ok(()) };
        client.reassembly.handle_text().map_err(|_| Malformed)?;
        match packet.attachments {
            None => self.dispatch(core, session, &packet, &[]),
            Some(count) => {
                // Checked now, so that nobody collects attachments for what is malformed anyway.
                packet.args().map_err(|_| Malformed)?;
                client.reassembly.handle_packet(text, count).map_err(|_| Malformed)
            }
        }
    }

    fn attachment(&mut self, core: &mut Core, session: Key, data: Bytes) -> Result<(), Malformed> {
        let Some(client) = Self::socket_io(core, session) else { return Ok(()) };
        let Some(whole) = client.reassembly.handle_attachment(data).map_err(|_| Malformed)? else {
            return Ok(());
        };
        let packet = Packet::decode(&whole.text, whole.attachments.len()).map_err(|_| Malformed)?;
        self.dispatch(core, session, &packet, &whole.attachments)
    }

    /// What the reference server's `ondecoded` does.
    fn dispatch(
        &mut self,
        core: &mut Core,
        session: Key,
        packet: &Packet<'_>,
        attachments: &[Bytes],
    ) -> Result<(), Malformed> {
        if packet.kind == Kind::Connect {
            return self.connect(core, session, packet.namespace, packet.data).map_err(|_| Malformed);
        }
        let namespace = *self.by_name.get(packet.namespace).ok_or(Malformed)?;
        let Some(client) = Self::socket_io(core, session) else { return Ok(()) };
        let socket = client.namespaces.socket(namespace).map_err(|_| Malformed)?;
        match packet.kind {
            Kind::Event => self.event(namespace, socket, packet, attachments),
            Kind::Ack => self.ack(socket, packet, attachments),
            Kind::Disconnect => {
                self.leave(core, socket, CloseReason::ClientDisconnect);
                Ok(())
            }
            // Only servers refuse.
            Kind::ConnectError | Kind::Connect => Err(Malformed),
        }
    }

    fn event(
        &mut self,
        namespace: Key,
        socket: Key,
        packet: &Packet<'_>,
        attachments: &[Bytes],
    ) -> Result<(), Malformed> {
        let args = packet.args().map_err(|_| Malformed)?;
        if !attachments.is_empty() && !args::placeholders_fit(args.array, attachments.len()) {
            return Err(Malformed);
        }
        let Some(entry) = self.sockets.get(socket) else { return Ok(()) };
        let own = entry.extra.as_ref().and_then(|extra| extra.events.get(&*args.name).cloned());
        let handlers = match self.namespaces.get_mut(namespace) {
            Some(namespace) => namespace.handlers(&self.io),
            None => return Ok(()),
        };
        let Some(handler) = own.as_ref().or_else(|| handlers.events.get(&*args.name)) else {
            if !args::is_valid(args.array, attachments.len()) {
                return Err(Malformed);
            }
            if let Some(on_any) = &handlers.on_any {
                let args_owned = Args::new(args.list, attachments);
                let ack = Ack::new(entry.socket.clone(), packet.id);
                let event = AnyEvent { name: args.name.clone().into_owned(), args: args_owned, ack };
                run::begin(&args.name, entry.socket.id(), || Ok(on_any(entry.socket.clone(), event)));
            }
            return Ok(());
        };
        Self::call(handler, entry, packet, &args, attachments)
    }

    fn call(
        handler: &Erased,
        entry: &super::Entry,
        packet: &Packet<'_>,
        args: &sio::Args<'_>,
        attachments: &[Bytes],
    ) -> Result<(), Malformed> {
        let mut event = Event {
            socket: &entry.socket,
            array: args.array,
            list: args.list,
            attachments,
            ack: packet.id,
            ack_taken: false,
        };
        match run::start(&args.name, entry.socket.id(), || handler(&mut event)) {
            Ok(()) => Ok(()),
            Err(error) if args::is_valid(args.array, attachments.len()) => {
                tracing::warn!(
                    socket = %entry.socket.id(), event = %args.name, error = error.without_values(),
                    "an event is dropped: its arguments are not what its handler takes"
                );
                Ok(())
            }
            Err(_) => Err(Malformed),
        }
    }

    fn ack(&mut self, socket: Key, packet: &Packet<'_>, attachments: &[Bytes]) -> Result<(), Malformed> {
        let args = packet.args().map_err(|_| Malformed)?;
        if !args::is_valid(args.array, attachments.len()) {
            return Err(Malformed);
        }
        let Some(extra) = self.sockets.get_mut(socket).and_then(|entry| entry.extra.as_mut()) else {
            return Ok(());
        };
        if let Some(waiter) = packet.id.and_then(|id| extra.acks.handle_ack(id)) {
            waiter.tell(Ok(Args::new(args.list, attachments)));
        }
        Ok(())
    }
}

impl super::Namespace {
    /// The handlers as they are now.
    pub(super) fn handlers(&mut self, io: &IoInner) -> &Arc<super::Handlers> {
        let version = self.definition.version();
        if self.version != version {
            self.version = version;
            // One that a pattern has made may have become one of its own.
            if !self.fixed
                && let Some(definition) = io.defined(&self.name)
            {
                (self.version, self.fixed) = (definition.version(), true);
                self.definition = definition;
            }
            self.handlers = self.definition.handlers();
        }
        &self.handlers
    }
}
