//! The instant-messaging service: what a node does beside carrying Socket.IO.
//!
//! One file per command. A command takes a payload from a user whose identity is settled, and gives an answer
//! for its ack. It never closes a connection, whatever it was sent. What is pushed was stored before.

mod answer;
mod identity;
mod payload;
mod send_message;
mod sync_messages;
pub mod words;

use std::future::Future;
use std::sync::Arc;

use serde_json::json;

use self::answer::Answer;
use self::identity::User;
use crate::socketio::{AnyEvent, Args, Io, Socket};
use crate::store::{Store, Timestamp};

/// Settings of the service.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's name, told to clients on connection.
    pub node_id: String,
    /// The longest message, in characters.
    pub max_content_chars: usize,
    /// Whether a user may be connected several times; if not, the newest connection wins.
    pub multi_device: bool,
    /// Messages in a page of `sync_messages` when the client names no limit.
    pub sync_page: u32,
    /// Messages in a page of `sync_messages` at most.
    pub sync_page_max: u32,
}

/// The service.
pub struct Im {
    options: Options,
    store: Arc<dyn Store>,
}

impl Im {
    /// Serves the root namespace of `io`, with messages in `store`.
    pub fn install(io: &Io, store: Arc<dyn Store>, options: Options) {
        let im = Arc::new(Im { options, store });
        io.middleware(identity::open);
        let greeter = im.clone();
        io.on_connect(move |socket: Socket| {
            greeter.greet(&socket);
            async {}
        });
        im.command(io, "send_message", send_message::run);
        im.command(io, "sync_messages", sync_messages::run);
        io.on_any(|_: Socket, event: AnyEvent| async move {
            event
                .ack
                .send(Answer::refused("unknown_event", format!("there is no event {:?} here", event.name)));
        });
    }

    /// Handles an event with a command.
    fn command<F, Fut>(self: &Arc<Self>, io: &Io, event: &str, run: F)
    where
        F: Fn(Arc<Im>, Socket, User, Args) -> Fut + Send + Sync + Copy + 'static,
        Fut: Future<Output = Answer> + Send,
    {
        let im = self.clone();
        io.on(event, move |socket: Socket, args: Args| {
            let im = im.clone();
            async move {
                match User::of(&socket) {
                    Some(user) => run(im, socket, user, args).await,
                    None => Answer::refused("unauthenticated", "this connection belongs to no user"),
                }
            }
        });
    }

    fn greet(&self, socket: &Socket) {
        let Some(user) = User::of(socket) else { return };
        let room = user.room();
        if !self.options.multi_device {
            let others = socket.to(&*room);
            others.emit("kicked", json!({ "reason": "replaced" }));
            others.disconnect_sockets(true);
        }
        socket.join(room);
        let greeting =
            json!({ "userId": user.id(), "nodeId": self.options.node_id, "serverTime": Timestamp::now() });
        socket.emit("connected", greeting);
    }
}
