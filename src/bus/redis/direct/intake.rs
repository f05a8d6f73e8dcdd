//! The end of a direct connection that hears.
//!
//! ```text
//!              hello            told by Redis               end of the line, silence
//!  (accepted) ───────▶ Waiting ───────────────▶ Open ─────────────────┐
//!                         └──────────────────────────────────────────▶ Closed
//! ```
//!
//! The first of a node waits until Redis has told that it is used from now on, for until then messages come by Redis; so none
//! overtakes another. It ends itself only after a silence that is longer than a line may be used without an answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::frame::{self, Frame, MAX_OF_STRANGERS, Side};
use super::line::GOOD_FOR;
use super::order::Order;
use super::{Direct, Id, READ_BYTES};
use crate::bus::redis::pending::MAX_KEPT_BYTES;
use crate::ids::random_bytes;

/// After so long without a word, it ends. Longer than [`GOOD_FOR`].
const SILENCE: Duration = Duration::from_millis(1500);
/// How long a stranger may take to show who it is.
const HELLO_TIMEOUT: Duration = Duration::from_secs(1);
/// So many messages, or bytes, are heard at most before that is said.
const MAX_UNSAID: u64 = 256;
const MAX_UNSAID_BYTES: usize = 1 << 20;

/// What others know of one.
pub struct Intake {
    pub from: Id,
    /// Which time it is that it reaches this node.
    pub peer: u64,
    /// Which thread hears it; 0: that of the bus.
    pub lane: u16,
    /// What its node's messages are told in, of all lanes together.
    pub order: Arc<Order>,
    state: watch::Sender<State>,
    /// What is to be said to the other end.
    out: mpsc::UnboundedSender<Frame>,
    wishes: Mutex<Wishes>,
}

#[derive(Default)]
struct Wishes {
    /// The hashes of what is wanted by it.
    hashes: HashSet<u64>,
    /// The number of the last one.
    last: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    stage: Stage,
    /// The last wish that the other end heeds.
    heeded: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Open,
    Closed { at: Instant },
}

impl Intake {
    /// Wants more by it, or nothing. Gives the number of the wish.
    pub fn want(&self, add: Vec<u64>) -> u64 {
        let mut wishes = self.wishes();
        wishes.hashes.extend(&add);
        self.wish(&mut wishes, add, Vec::new())
    }

    /// Wants these no more, if they were wanted by it.
    pub fn unwant(&self, hashes: &[u64]) {
        let mut wishes = self.wishes();
        let drop: Vec<_> = hashes.iter().copied().filter(|hash| wishes.hashes.remove(hash)).collect();
        if !drop.is_empty() {
            self.wish(&mut wishes, Vec::new(), drop);
        }
    }

    fn wish(&self, wishes: &mut Wishes, add: Vec<u64>, drop: Vec<u64>) -> u64 {
        wishes.last += 1;
        self.say(Frame::Wish { number: wishes.last, add, drop });
        wishes.last
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        // Nothing that can panic runs under this lock.
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the other end heeds a wish, or can't send anything any more.
    pub async fn heeds(&self, wish: u64) {
        let mut state = self.state.subscribe();
        // An error would mean that it is gone, and it is not while this waits.
        let _ = state.wait_for(|state| state.heeded >= wish || state.is_closed()).await;
    }

    /// Says how many threads hear by themselves.
    pub fn say_lanes(&self, count: u16) {
        self.say(Frame::Lanes { count });
    }

    fn say(&self, frame: Frame) {
        // Whoever is to say it may have ended; then nobody has to heed it.
        let _ = self.out.send(frame);
    }

    /// Redis has told that the line is used from now on.
    pub fn open(&self) {
        self.state.send_if_modified(|state| {
            let opens = state.stage == Stage::Waiting;
            if opens {
                state.stage = Stage::Open;
            }
            opens
        });
    }

    /// Whether the other end uses it: one that has given up dialing does not know yet that it is here.
    pub fn is_used(&self) -> bool {
        let state = self.state.borrow();
        state.stage == Stage::Open && state.heeded > 0
    }

    /// It ends, once what has come is heard.
    pub fn close(&self) {
        self.state.send_if_modified(|state| {
            let closes = !state.is_closed();
            if closes {
                state.stage = Stage::Closed { at: Instant::now() };
            }
            closes
        });
    }

    /// Whether it was closed so long ago.
    pub fn is_old(&self, age: Duration) -> bool {
        matches!(self.state.borrow().stage, Stage::Closed { at } if at.elapsed() > age)
    }

    /// Says that this node leaves.
    pub fn leave(&self) {
        self.say(Frame::Bye);
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        self.heeds(u64::MAX).await;
    }
}

impl State {
    fn is_closed(self) -> bool {
        matches!(self.stage, Stage::Closed { .. })
    }
}

/// Serves a connection that was accepted, until it ends.
pub async fn serve(direct: Arc<Direct>, mut stream: TcpStream, stranger: OwnedSemaphorePermit) {
    let _ = stream.set_nodelay(true);
    let mut input = BytesMut::new();
    let Ok(Some(Hello { from, peer, lane, stamp })) =
        timeout(HELLO_TIMEOUT, hello(&direct, &mut stream, &mut input)).await
    else {
        return;
    };
    drop(stranger);
    let Some(order) = direct.order_of(from, peer, lane) else { return };
    let (out, to_say) = mpsc::unbounded_channel();
    let stage = if lane == 0 { Stage::Waiting } else { Stage::Open };
    let intake = Arc::new(Intake {
        from,
        peer,
        lane,
        order,
        state: watch::Sender::new(State { stage, heeded: 0 }),
        out,
        wishes: Mutex::default(),
    });
    let serving = Serving { direct: Arc::clone(&direct), intake, input };
    if lane == 0 {
        return serving.serve(stream, to_say, stamp).await;
    }
    let (Some(thread), Ok(stream)) = (direct.thread_of(lane), stream.into_std()) else { return };
    let mut there = JoinSet::new();
    there.spawn_on(
        async move {
            if let Ok(stream) = TcpStream::from_std(stream) {
                serving.serve(stream, to_say, stamp).await;
            }
        },
        &thread,
    );
    there.join_next().await;
}

/// Who has shown that it may come in.
struct Hello {
    from: Id,
    peer: u64,
    lane: u16,
    stamp: u64,
}

async fn hello(direct: &Direct, stream: &mut TcpStream, input: &mut BytesMut) -> Option<Hello> {
    let Frame::Hello { from, peer, lane, stamp, nonce: theirs } = next(stream, input).await? else {
        return None;
    };
    let nonce = random_bytes();
    let due = |side| frame::proof(&direct.own.token, side, &theirs, &nonce);
    let mut welcome = Vec::new();
    Frame::Welcome { nonce, proof: due(Side::Dialed) }.encode(&mut welcome);
    stream.write_all(&welcome).await.ok()?;
    let Frame::Proof { proof } = next(stream, input).await? else { return None };
    frame::is_same(&proof, &due(Side::Dialing)).then_some(Hello { from, peer, lane, stamp })
}

async fn next(stream: &mut TcpStream, input: &mut BytesMut) -> Option<Frame> {
    let mut scratch = [0; MAX_OF_STRANGERS];
    loop {
        if let Some(frame) = Frame::decode(input, MAX_OF_STRANGERS).ok()? {
            return Some(frame);
        }
        match stream.read(&mut scratch).await.ok()? {
            0 => return None,
            count => input.extend_from_slice(&scratch[..count]),
        }
    }
}

/// The end of an intake is its end also where its thread ends first.
struct Serving {
    direct: Arc<Direct>,
    intake: Arc<Intake>,
    input: BytesMut,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.intake.close();
    }
}

impl Serving {
    async fn serve(mut self, stream: TcpStream, to_say: mpsc::UnboundedReceiver<Frame>, stamp: u64) {
        let (reader, writer) = stream.into_split();
        let intake = Arc::clone(&self.intake);
        self.direct.begin_intake(&intake);
        intake.say(Frame::Heard { count: 0, stamp });
        let (mut open, mut closed) = (intake.state.subscribe(), intake.state.subscribe());
        // Who waits is silent, too.
        let came = watch::Sender::new(Instant::now());
        tokio::select! {
            biased;
            _ = closed.wait_for(|state| state.is_closed()) => (),
            () = async {
                let _ = open.wait_for(|state| state.stage == Stage::Open).await;
                self.hear(reader, &came).await;
            } => (),
            () = say(writer, to_say) => (),
            () = silence(&came) => (),
        }
    }

    /// Hears what comes until nothing more does, or may.
    async fn hear(&mut self, mut reader: OwnedReadHalf, came: &watch::Sender<Instant>) {
        let Self { direct, intake, input } = self;
        let (mut count, mut said, mut unsaid_bytes) = (0, 0, 0);
        loop {
            while let Some(frame) = Frame::decode(input, usize::MAX).transpose() {
                match frame {
                    Ok(Frame::Message { number, channel, message }) => {
                        if intake.lane == 0 {
                            direct.stay_awake();
                        }
                        (count, unsaid_bytes) = (count + 1, unsaid_bytes + message.len());
                        // A copy: whoever keeps it must not keep all that was read with it.
                        let message = (channel, Bytes::copy_from_slice(&message));
                        if !intake.order.take(number, message, |message| direct.hear(message)) {
                            return sleep(GOOD_FOR).await;
                        }
                        if count - said >= MAX_UNSAID || unsaid_bytes >= MAX_UNSAID_BYTES {
                            (said, unsaid_bytes) = (count, 0);
                            intake.say(Frame::Heard { count, stamp: 0 });
                        }
                    }
                    Ok(Frame::Ping { stamp }) => {
                        (said, unsaid_bytes) = (count, 0);
                        intake.say(Frame::Heard { count, stamp });
                    }
                    Ok(Frame::Heeded { wish }) => intake.state.send_modify(|state| state.heeded = wish),
                    Ok(Frame::Bye) => return,
                    // The line may be used until it can't be any more.
                    Ok(_) | Err(_) => return sleep(GOOD_FOR).await,
                }
            }
            if input.is_empty() && input.capacity() > MAX_KEPT_BYTES {
                *input = BytesMut::new();
            }
            input.reserve(READ_BYTES);
            match reader.read_buf(input).await {
                Ok(0) => return,
                // The other end may not know yet.
                Err(_) => return sleep(GOOD_FOR).await,
                Ok(_) => drop(came.send_replace(Instant::now())),
            }
        }
    }
}

async fn silence(came: &watch::Sender<Instant>) {
    loop {
        let until = *came.borrow() + SILENCE;
        if until <= Instant::now() {
            return;
        }
        sleep_until(until).await;
    }
}

async fn say(mut writer: OwnedWriteHalf, mut to_say: mpsc::UnboundedReceiver<Frame>) {
    let mut bytes = Vec::new();
    while let Some(frame) = to_say.recv().await {
        frame.encode(&mut bytes);
        while let Ok(frame) = to_say.try_recv() {
            frame.encode(&mut bytes);
        }
        // Who does not read for so long does not say anything either. Where it fails, so does reading.
        if timeout(SILENCE, writer.write_all(&bytes)).await.is_err() {
            return sleep(GOOD_FOR).await;
        }
        bytes.clear();
        bytes.shrink_to(MAX_KEPT_BYTES);
    }
}
