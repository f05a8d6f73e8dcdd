//! The end of a direct connection that publishes.
//!
//! A line is used only for as long as the other end is known to have been there a moment ago: it answers pings, and each answer
//! says how long the line is good for, counted from when the ping left. So the other end knows when this one can't be using it any
//! more, whatever the network does. What the other end has not said that it heard is kept, and when the line ends it goes by
//! Redis: nothing is lost with a line, and nothing is told twice, for messages are numbered.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::frame::{self, Frame, MAX_OF_STRANGERS, Malformed, Shared, Side, Token};
use super::{Id, READ_BYTES};
use crate::bus::redis::duty::{self, Write};
use crate::bus::redis::pending::Pending;
use crate::bus::redis::stream::{Outlet, Writer};
use crate::ids::random_bytes;

/// How long a line is good for after a ping has left that was answered.
pub const GOOD_FOR: Duration = Duration::from_secs(1);
const PING_EVERY: Duration = Duration::from_millis(250);
/// After so many bytes, too. 256 KiB.
const ASK_AFTER_BYTES: usize = 256 << 10;
/// How long connecting, and the first answer, may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);
/// More threads that hear by themselves are not believed.
const MAX_LANES: u16 = 1024;
/// What may be unheard at most, in bytes: Redis, by which it goes then, gives up subscribers who have 32 MB before them. 8 MiB.
const MAX_UNHEARD_BYTES: usize = 8 << 20;

pub struct Line {
    pub peer: Arc<Peer>,
    /// Which of the other node's threads hears it; 0: that of its bus.
    pub lane: u16,
    outlet: Outlet,
    out: Mutex<Out>,
    /// Told when more was heard, or the line has ended.
    news: Notify,
    began: Instant,
    /// In microseconds after `began`.
    good_until: AtomicU64,
    runtime: Handle,
}

/// The other node, while it is reached. Its lines end together.
pub struct Peer {
    pub id: Id,
    /// Which time it is that it is reached.
    pub number: u64,
    wishes: Mutex<Wishes>,
    /// How many threads there hear by themselves.
    lanes: watch::Sender<u16>,
}

#[derive(Default)]
struct Wishes {
    /// The hashes of what it wants, and on which lane.
    lanes: HashMap<u64, u16>,
    /// How many messages it was sent.
    sent: u64,
}

impl Peer {
    pub fn new(id: Id, number: u64) -> Arc<Self> {
        Arc::new(Self { id, number, wishes: Mutex::default(), lanes: watch::Sender::new(0) })
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        // Nothing that can panic runs under this lock.
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line, of these by lane, on which it wants what has this hash, and the number of the message that is to be sent there now.
    pub fn next<'a>(&self, hash: u64, lines: &'a HashMap<u16, Arc<Line>>) -> Option<(&'a Arc<Line>, u64)> {
        let mut wishes = self.wishes();
        let line = lines.get(wishes.lanes.get(&hash)?)?;
        wishes.sent += 1;
        Some((line, wishes.sent))
    }

    /// Whether it wants what has this hash.
    pub fn wants(&self, hash: u64) -> bool {
        self.wishes().lanes.contains_key(&hash)
    }

    pub fn lanes(&self) -> watch::Receiver<u16> {
        self.lanes.subscribe()
    }
}

#[derive(Default)]
struct Out {
    pending: Pending,
    sent: u64,
    /// Messages that the other end has not said that it heard: the last ones that were sent.
    unheard: VecDeque<(u64, Shared)>,
    unheard_bytes: usize,
    /// So many bytes were sent since the last ping.
    unasked_bytes: usize,
    ended: bool,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The other node leaves.
    Left,
    /// It can't be used any more.
    Broken,
}

/// What the other end says.
pub struct Reading {
    reader: OwnedReadHalf,
    input: BytesMut,
}

impl Line {
    /// Connects, and waits until the other end has said what it wants.
    pub async fn dial(
        address: SocketAddr,
        (own, token): (Id, Token),
        peer: &Arc<Peer>,
        lane: u16,
        runtime: Handle,
    ) -> io::Result<(Arc<Self>, Reading)> {
        let dialing = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            let line = Arc::new(Self {
                peer: Arc::clone(peer),
                lane,
                outlet: Outlet::new(Writer::AtOnce(writer)),
                out: Mutex::default(),
                news: Notify::new(),
                began: Instant::now(),
                good_until: AtomicU64::new(GOOD_FOR.as_micros() as u64),
                runtime,
            });
            let nonce = random_bytes();
            line.say(&Frame::Hello { from: own, peer: peer.number, lane, stamp: line.now(), nonce });
            let mut reading = Reading { reader, input: BytesMut::new() };
            let Frame::Welcome { nonce: theirs, proof } = reading.next(MAX_OF_STRANGERS).await? else {
                return Err(io::Error::other(Malformed));
            };
            let due = |side| frame::proof(&token, side, &nonce, &theirs);
            if !frame::is_same(&proof, &due(Side::Dialed)) {
                return Err(io::Error::other("it is not who it should be"));
            }
            line.say(&Frame::Proof { proof: due(Side::Dialing) });
            let first = reading.next(usize::MAX).await?;
            line.handle(first).map_err(|_| io::Error::other(Malformed))?;
            Ok((line, reading))
        };
        timeout(DIAL_TIMEOUT, dialing).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }

    fn now(&self) -> u64 {
        micros(self.began.elapsed())
    }

    /// Until when it may be used, as far as known.
    pub fn good_until(&self) -> Instant {
        self.began + Duration::from_micros(self.good_until.load(Ordering::Acquire))
    }

    /// Whether it may be used.
    fn is_good(&self, now: Instant) -> bool {
        now < self.good_until()
    }

    fn lock(&self) -> MutexGuard<'_, Out> {
        // Nothing that can panic runs under this lock.
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message; `limit`: how many may wait for Redis, of which a quarter may be unheard. `false`: too many are, and the line is
    /// to be cut.
    pub fn publish(self: &Arc<Self>, number: u64, message: Shared, limit: usize) -> bool {
        let mut out = self.lock();
        message.encode(number, out.pending.end());
        out.sent += 1;
        out.unheard_bytes += message.len();
        out.unasked_bytes += message.len();
        if out.unasked_bytes > ASK_AFTER_BYTES {
            // A ping every now and then is late behind so much.
            out.unasked_bytes = 0;
            Frame::Ping { stamp: self.now() }.encode(out.pending.end());
        }
        out.unheard.push_back((number, message));
        let is_fine = out.unheard.len() <= limit.div_ceil(4)
            && (out.unheard_bytes <= MAX_UNHEARD_BYTES || out.unheard.len() < 2);
        let is_new = out.pending.promise(duty::bit());
        drop(out);
        if is_new {
            duty::write_soon(Arc::clone(self), &self.runtime);
        }
        is_fine
    }

    fn say(&self, frame: &Frame) {
        frame.encode(self.lock().pending.end());
        self.write();
    }

    /// Serves it until it can't be used any more.
    pub async fn serve(&self, Reading { mut reader, mut input }: Reading) -> End {
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            loop {
                match Frame::decode(&mut input, usize::MAX).map(|frame| frame.map(|frame| self.handle(frame)))
                {
                    Ok(None) => break,
                    Ok(Some(Ok(()))) => (),
                    Ok(Some(Err(end))) => return end,
                    Err(Malformed) => return End::Broken,
                }
            }
            input.reserve(READ_BYTES / 16);
            tokio::select! {
                read = reader.read_buf(&mut input) => match read {
                    Ok(0) | Err(_) => return End::Broken,
                    Ok(_) => (),
                },
                () = self.outlet.can_write(|| self.lock().pending.is_stuck()) => self.write(),
                _ = pings.tick() => {
                    if self.lock().ended || !self.is_good(Instant::now()) {
                        return End::Broken;
                    }
                    self.say(&Frame::Ping { stamp: self.now() });
                }
            }
        }
    }

    fn handle(&self, frame: Frame) -> Result<(), End> {
        match frame {
            Frame::Wish { number, add, drop } => {
                let mut wishes = self.peer.wishes();
                wishes.lanes.extend(add.into_iter().map(|hash| (hash, self.lane)));
                for hash in drop {
                    // It may be wanted on another lane by now, whose word came first.
                    if wishes.lanes.get(&hash) == Some(&self.lane) {
                        wishes.lanes.remove(&hash);
                    }
                }
                std::mem::drop(wishes);
                self.say(&Frame::Heeded { wish: number });
                Ok(())
            }
            Frame::Lanes { count } => {
                self.peer.lanes.send_replace(count.min(MAX_LANES));
                Ok(())
            }
            Frame::Heard { count, stamp } => {
                let mut out = self.lock();
                let first = out.sent - out.unheard.len() as u64;
                if count > out.sent || stamp > self.now() {
                    return Err(End::Broken);
                }
                for _ in first..count {
                    let length = out.unheard.pop_front().map_or(0, |(_, message)| message.len());
                    out.unheard_bytes -= length;
                }
                drop(out);
                self.good_until.fetch_max(stamp + micros(GOOD_FOR), Ordering::AcqRel);
                self.news.notify_waiters();
                Ok(())
            }
            Frame::Bye => Err(End::Left),
            _ => Err(End::Broken),
        }
    }

    /// Waits until the other end has heard all that was sent so far, or the line has ended.
    pub async fn all_heard(&self) {
        let until = self.lock().sent;
        self.say(&Frame::Ping { stamp: self.now() });
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            {
                let out = self.lock();
                if out.ended || out.sent - out.unheard.len() as u64 >= until {
                    return;
                }
            }
            news.await;
        }
    }

    /// Says that nothing more comes.
    pub fn leave(&self) {
        self.say(&Frame::Bye);
    }

    /// From now on nothing is sent. Gives what the other end may not have heard, by number.
    pub fn end(&self) -> VecDeque<(u64, Shared)> {
        let mut out = self.lock();
        out.ended = true;
        let unheard = std::mem::take(&mut out.unheard);
        drop(out);
        self.news.notify_waiters();
        unheard
    }
}

impl Write for Line {
    fn write(&self) {
        // Where it fails, so does reading.
        let _ = self.outlet.write(self.lock(), |out| &mut out.pending);
    }
}

impl Reading {
    async fn next(&mut self, max: usize) -> io::Result<Frame> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.input, max).map_err(io::Error::other)? {
                return Ok(frame);
            }
            if self.reader.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
        }
    }
}

pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    const TOKEN: Token = [7; 16];

    /// A line that was dialed, and its other end.
    async fn line(peer: &Arc<Peer>, lane: u16) -> (Arc<Line>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialing = Line::dial(listener.local_addr().unwrap(), (1, TOKEN), peer, lane, Handle::current());
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let Frame::Hello { nonce, .. } = next(&mut stream).await else { panic!("no hello") };
            let proof = frame::proof(&TOKEN, Side::Dialed, &nonce, &[9; 16]);
            say(&mut stream, Frame::Welcome { nonce: [9; 16], proof }).await;
            let Frame::Proof { proof } = next(&mut stream).await else { panic!("no proof") };
            assert!(frame::is_same(&proof, &frame::proof(&TOKEN, Side::Dialing, &nonce, &[9; 16])));
            say(&mut stream, Frame::Wish { number: 1, add: vec![], drop: vec![] }).await;
            assert_eq!(next(&mut stream).await, Frame::Heeded { wish: 1 });
            stream
        };
        let (dialed, stream) = tokio::join!(dialing, answering);
        (dialed.unwrap().0, stream)
    }

    async fn next(stream: &mut TcpStream) -> Frame {
        let mut input = BytesMut::new();
        loop {
            if let Some(frame) = Frame::decode(&mut input, usize::MAX).unwrap() {
                assert!(input.is_empty(), "one at a time");
                return frame;
            }
            assert!(stream.read_buf(&mut input).await.unwrap() > 0);
        }
    }

    async fn say(stream: &mut TcpStream, frame: Frame) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        stream.write_all(&bytes).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_wanted_on_another_lane_by_now_stays_wanted() {
        let peer = Peer::new(2, 1);
        let ((first, _a), (second, _b)) = (line(&peer, 1).await, line(&peer, 2).await);
        let lines = HashMap::from([(1, first.clone()), (2, second.clone())]);
        let lane = || peer.next(5, &lines).map(|(line, number)| (line.lane, number));
        assert_eq!(lane(), None);
        first.handle(Frame::Wish { number: 2, add: vec![5], drop: vec![] }).unwrap();
        assert_eq!(lane(), Some((1, 1)));
        // What was said first comes last.
        second.handle(Frame::Wish { number: 2, add: vec![5], drop: vec![] }).unwrap();
        first.handle(Frame::Wish { number: 3, add: vec![], drop: vec![5] }).unwrap();
        assert_eq!(lane(), Some((2, 2)));
        second.handle(Frame::Wish { number: 3, add: vec![], drop: vec![5] }).unwrap();
        assert_eq!(lane(), None);
    }

    #[tokio::test]
    async fn what_was_not_heard_is_left_at_the_end() {
        let peer = Peer::new(2, 1);
        let (line, _stream) = line(&peer, 0).await;
        for number in 1..=5 {
            assert!(line.publish(number, Shared::new("x", b"m"), 20));
        }
        line.handle(Frame::Heard { count: 2, stamp: 0 }).unwrap();
        let more = (6..=9).map(|number| line.publish(number, Shared::new("x", b"m"), 24));
        assert_eq!(more.collect::<Vec<_>>(), [true, true, true, false], "seven are more than six");
        assert_eq!(line.handle(Frame::Heard { count: 10, stamp: 0 }), Err(End::Broken), "more than was sent");
        let heard = tokio::spawn({
            let line = line.clone();
            async move { line.all_heard().await }
        });
        tokio::task::yield_now().await;
        assert_eq!(line.end().iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9]);
        heard.await.unwrap();
        assert_eq!(line.end().len(), 0);
    }

    #[tokio::test]
    async fn is_good_only_while_pings_are_answered() {
        let peer = Peer::new(2, 1);
        let (line, _stream) = line(&peer, 0).await;
        let began = line.began;
        assert!(line.is_good(began + GOOD_FOR / 2) && !line.is_good(began + GOOD_FOR));
        line.good_until.fetch_max(micros(GOOD_FOR * 3 / 2), Ordering::AcqRel);
        assert!(line.is_good(began + GOOD_FOR) && !line.is_good(began + GOOD_FOR * 3 / 2));
        let future = line.now() + micros(GOOD_FOR);
        assert_eq!(line.handle(Frame::Heard { count: 0, stamp: future }), Err(End::Broken), "never asked");
    }

    #[tokio::test]
    async fn who_can_not_prove_who_it_is_is_not_dialed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Peer::new(2, 1);
        let address = listener.local_addr().unwrap();
        let dialing = Line::dial(address, (1, TOKEN), &peer, 0, Handle::current());
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let Frame::Hello { nonce, .. } = next(&mut stream).await else { panic!("no hello") };
            let proof = frame::proof(&[8; 16], Side::Dialed, &nonce, &[9; 16]);
            say(&mut stream, Frame::Welcome { nonce: [9; 16], proof }).await;
            stream.read_buf(&mut BytesMut::new()).await
        };
        let (dialed, said) = tokio::join!(dialing, answering);
        assert!(dialed.is_err_and(|error| error.to_string().contains("not who it should be")));
        assert!(matches!(said, Ok(0) | Err(_)), "no proof is given: {said:?}");
    }
}
