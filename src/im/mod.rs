//! The instant-messaging service: what a node does beside carrying Socket.IO.
//!
//! One file per command. A command takes a payload from a user whose identity is settled, and gives an answer for its
//! ack; the HTTP API calls the same commands. It never closes a connection, whatever it was sent. What is pushed was
//! stored before.
//!
//! | | |
//! |---|---|
//! | `roster` | who is connected to this node |
//! | `inbox`, `delivery` | stored messages to the clients here, in order |
//! | `relay` | what the nodes tell each other |
//! | `repair` | what the bus has lost, out of the store |
//! | `watchers` | who wants to know when somebody comes or goes |

mod answer;
mod connection;
mod delivery;
mod drain;
mod identity;
mod inbox;
mod online;
mod payload;
mod relay;
mod repair;
mod room;
mod rooms;
mod roster;
mod send_message;
mod sync_messages;
mod typing;
mod watchers;
pub mod words;

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use tokio::runtime::Handle;

use self::answer::{Answer, Done};
use self::delivery::Delivery;

use self::repair::Repair;
use self::roster::Roster;
use crate::presence::Presence;
use crate::socketio::{AnyEvent, Args, Io, Socket};
use crate::store::Store;

pub use self::answer::Refusal;
pub use self::identity::User;
pub use self::payload::Id;
pub use self::watchers::Watchers;

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

/// What the service is built on.
#[derive(Clone)]
pub struct Parts {
    /// The server, a member of its cluster if there is one.
    pub io: Io,
    /// Where messages are kept.
    pub store: Arc<dyn Store>,
    /// Who is online.
    pub presence: Arc<dyn Presence>,
    /// Whom presence tells.
    pub watchers: Arc<Watchers>,
}

/// The service.
pub struct Im {
    options: Options,
    io: Io,
    store: Arc<dyn Store>,
    presence: Arc<dyn Presence>,
    watchers: Arc<Watchers>,
    delivery: Arc<Delivery>,
    roster: Arc<Roster>,
    repair: Repair,
    /// Where what has to wait goes on.
    runtime: Handle,
}

impl Im {
    /// Serves the root namespace of a server. To be called on a tokio runtime.
    pub fn install(parts: Parts, options: Options) -> Arc<Im> {
        let Parts { io, store, presence, watchers } = parts;
        let runtime = Handle::current();
        let delivery = Delivery::new(io.clone(), store.clone(), runtime.clone());
        let roster = Roster::new(delivery.clone());
        let repair = Repair::new();
        let im = Arc::new(Im { options, io, store, presence, watchers, delivery, roster, repair, runtime });
        im.serve_connections();
        im.command("send_message", send_message::run);
        im.command("sync_messages", sync_messages::run);
        im.command("join_room", rooms::join);
        im.command("leave_room", rooms::leave);
        im.command("typing", typing::start);
        im.command("stop_typing", typing::stop);
        im.command("get_online_users", online::get);
        im.command("watch_presence", online::watch);
        im.command("unwatch_presence", online::unwatch);
        im.io.on_any(|_: Socket, event: AnyEvent| async move {
            let refusal = Refusal::new("unknown_event", format!("there is no event {:?} here", event.name));
            event.ack.send(Answer::from(refusal));
        });
        im.hear_others();
        im.keep_marks();
        im
    }

    /// Handles an event with a command.
    fn command<F, Fut, T>(self: &Arc<Self>, event: &str, run: F)
    where
        F: Fn(Arc<Im>, Socket, User, Args) -> Fut + Send + Sync + Copy + 'static,
        Fut: Future<Output = Result<Done<T>, Refusal>> + Send,
        T: Serialize,
    {
        let im = Arc::downgrade(self);
        self.io.on(event, move |socket: Socket, args: Args| {
            let im = im.upgrade();
            async move {
                let (Some(user), Some(im)) = (User::of(&socket), im) else {
                    return Answer::from(Refusal::new(
                        "unauthenticated",
                        "this connection belongs to no user",
                    ));
                };
                run(im, socket, user, args).await.into()
            }
        });
    }

    /// How many users are connected to this node.
    pub fn users(&self) -> usize {
        self.roster.count()
    }
}

/// Ends a connection, and says why.
fn kick(socket: &Socket, reason: &str) {
    socket.emit("kicked", json!({ "reason": reason }));
    socket.close();
}
