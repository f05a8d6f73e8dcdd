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
//! | `tie_reader` | groups and blocks of many users at once |
//! | `ties` | groups and blocks, in effect on all nodes |
//! | `twins` | which senders have devices on other nodes |
//! | `repair` | what the bus has lost, out of the store |
//! | `watchers` | who wants to know when somebody comes or goes |

mod answer;
mod connection;
mod delivery;
mod drain;
mod erase_message;
mod expiry;
mod friends;
mod get_conversations;
mod groups;
mod identity;
mod inbox;
mod latecomers;
mod limits;
mod mark_read;
mod online;
mod payload;
mod relay;
mod repair;
mod room;
mod rooms;
mod roster;
mod send_message;
mod sync_messages;
mod tie_reader;
mod ties;
mod told;
mod twins;
mod typing;
mod watchers;
pub mod words;

use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use self::answer::{Answer, Done};
use self::delivery::Delivery;
use self::expiry::Expiries;
use self::limits::Limits;

use self::repair::Repair;
use self::roster::Roster;
use self::tie_reader::TieReader;
use self::told::Told;
use self::twins::Twins;
use self::words::Words;
use crate::presence::Presence;
use crate::proto::sio::RESERVED_EVENTS;
use crate::socketio::{Ack, AnyEvent, Args, Io, Socket};
use crate::store::Store;
use crate::under_way::UnderWay;

pub use self::answer::Refusal;
pub use self::groups::{
    Create as CreateGroup, MAX_NAME_CHARS as MAX_GROUP_NAME_CHARS, MAX_TEXT_CHARS as MAX_GROUP_TEXT_CHARS,
};
pub use self::identity::{Identities, Identity, User};
pub use self::payload::{Id, MessageName, Number, why_not};
pub use self::send_message::{MAX_FILE_FIELD_BYTES, MAX_REPLY_ID_BYTES, SendMessage};
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
    /// Whether only friends may write private messages to each other.
    pub require_friendship: bool,
    /// The most members that a group may have, whatever its own limit.
    pub max_group_members: u32,
    /// The most groups that a user may be in: a connection is in the room of each.
    pub max_groups: u64,
    /// The messages of one answer have so many bytes of JSON at most.
    pub page_bytes: usize,
    /// How long a message can be recalled.
    pub recall_window: Duration,
    /// How long a client that was cut off may take to come back to its state; zero for not at all.
    pub recovery_window: Duration,
    /// Users whose presence one connection may watch.
    pub watch_limit: usize,
    /// Messages from one user in a second; 0 for no limit.
    pub messages_per_second: u32,
    /// Messages from one user at once.
    pub message_burst: u32,
    /// `typing` and `stop_typing` from one connection in a second; 0 for no limit.
    pub typing_per_second: u32,
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
    /// How clients show who they are.
    pub identities: Identities,
    /// Words that messages must not hold.
    pub words: Option<Arc<Words>>,
}

/// The service.
pub struct Im {
    options: Options,
    io: Io,
    store: Arc<dyn Store>,
    presence: Arc<dyn Presence>,
    watchers: Arc<Watchers>,
    delivery: Arc<Delivery>,
    /// Messages that are being stored here.
    under_way: Arc<UnderWay>,
    roster: Arc<Roster>,
    ties: Arc<TieReader>,
    repair: Repair,
    told: Told,
    twins: Twins,
    /// Where the store tells what became of messages.
    outcomes: mpsc::Sender<send_message::Outcome>,
    identities: Identities,
    expiries: Expiries,
    limits: Limits,
    words: Option<Arc<Words>>,
    /// Who looks in the store for what ties users to others does so alone.
    looks: tokio::sync::Mutex<()>,
    /// Places for those who are being brought into rooms.
    latecomers: tokio::sync::Semaphore,
    /// Messages that could not be stored.
    not_stored: AtomicU64,
    /// Where what has to wait goes on.
    runtime: Handle,
}

impl Im {
    /// Serves the root namespace of a server. To be called on a tokio runtime.
    pub fn install(parts: Parts, options: Options) -> Arc<Im> {
        let Parts { io, store, presence, watchers, identities, words } = parts;
        let runtime = Handle::current();
        let under_way = Arc::new(UnderWay::default());
        let delivery = Delivery::new(io.clone(), store.clone(), runtime.clone(), under_way.clone());
        let roster = Roster::new(delivery.clone());
        let ties = TieReader::new(store.clone(), runtime.clone());
        let repair = Repair::default();
        let limits =
            Limits::new(options.messages_per_second, options.message_burst, options.typing_per_second);
        let expiries = Expiries::default();
        let (outcomes, told) = mpsc::channel(send_message::MAX_UNDER_WAY);
        let im = Arc::new(Im {
            options,
            io,
            store,
            presence,
            watchers,
            delivery,
            under_way,
            roster,
            ties,
            repair,
            told: Told::default(),
            twins: Twins::default(),
            outcomes,
            identities,
            expiries,
            limits,
            words,
            looks: tokio::sync::Mutex::default(),
            latecomers: tokio::sync::Semaphore::new(latecomers::AT_A_TIME),
            not_stored: AtomicU64::new(0),
            runtime,
        });
        im.serve_connections();
        let weak = Arc::downgrade(&im);
        im.io.on("send_message", move |socket: Socket, args: Args, ack: Ack| {
            let asked = Self::asked(&weak, &socket);
            async move {
                match asked {
                    Ok((im, user)) => send_message::run(im, socket, user, args, ack).await,
                    Err(refusal) => ack.send(Answer::from(refusal)),
                }
            }
        });
        im.command("sync_messages", sync_messages::run);
        im.command("mark_read", mark_read::run);
        im.command("get_conversations", get_conversations::run);
        im.command("recall_message", erase_message::recall);
        im.command("delete_message", erase_message::delete);
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
        im.hear_of(told);
        im.hear_others();
        im.hear_who_missed();
        im.hear_changes();
        im.keep_marks();
        im.watch_expiries();
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
            let asked = Self::asked(&im, &socket);
            async move {
                match asked {
                    Ok((im, user)) => run(im, socket, user, args).await.into(),
                    Err(refusal) => Answer::from(refusal),
                }
            }
        });
    }

    /// Who is asked, and by whom.
    fn asked(im: &Weak<Im>, socket: &Socket) -> Result<(Arc<Im>, User), Refusal> {
        let asked = im.upgrade().zip(User::of(socket));
        asked.ok_or_else(|| Refusal::new("unauthenticated", "this connection belongs to no user"))
    }

    /// How often each limit of the service was reached since the start, by the name of its setting.
    pub fn limits_reached(&self) -> [(&'static str, u64); 3] {
        self.limits.reached()
    }

    /// Sends an event to everybody, on all nodes.
    ///
    /// # Errors
    /// Its name is one that the service, or Socket.IO, uses itself; or other nodes can't be reached.
    pub fn broadcast(&self, event: &str, payload: &Value) -> Result<(), Refusal> {
        if event.is_empty() || reserved_events().any(|reserved| reserved == event) {
            return Err(Refusal::new("invalid_payload", format!("{event:?} is no name for such an event")));
        }
        if self.repair.is_cut_off() {
            return Err(Refusal::new("presence_unavailable", "Redis is away: other nodes can't be reached"));
        }
        self.io.emit(event, payload);
        Ok(())
    }

    /// How many users are connected to this node.
    pub fn users(&self) -> usize {
        self.roster.count()
    }
}

/// Names of events that nobody else may send.
pub fn reserved_events() -> impl Iterator<Item = &'static str> {
    RESERVED_EVENTS.into_iter().chain(OWN_EVENTS)
}

/// What clients take for the service's own word.
const OWN_EVENTS: [&str; 14] = [
    "connected",
    "draining",
    "group_event",
    "group_message",
    "kicked",
    "message_deleted",
    "message_read",
    "message_recalled",
    "private_message",
    "user_offline",
    "user_online",
    "user_stop_typing",
    "user_typing",
    "error",
];

/// Ends a connection, and says why.
fn kick(socket: &Socket, reason: &str) {
    socket.emit("kicked", json!({ "reason": reason }));
    socket.close();
}
