//! The two ends of a connection, and when what comes is read.
//!
//! A server that only answers what nobody waits for is not listened to: each answer would wake a thread just when the message
//! is on its way, and take the core from those that it is for. What it says is fetched every now and then.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use bytes::BytesMut;
use redis::ConnectionAddr;
use socket2::SockRef;
use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::pending::Pending;

/// What is read in one go, in bytes. 64 KiB.
const READ_BYTES: usize = 64 << 10;

/// The shortest and the longest pause between two looks: each is twice as long as the last, until something has come.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(128);

/// When what comes is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    AtOnce,
    NowAndThen,
}

/// The end that is written to, from any thread.
pub(super) enum Writer {
    AtOnce(OwnedWriteHalf),
    NowAndThen(Arc<Quiet>),
}

/// The end that one task reads.
pub(super) enum Reader {
    AtOnce(OwnedReadHalf),
    NowAndThen { from: Arc<Quiet>, pause: Duration, scratch: Box<[u8]> },
}

/// A socket that wakes nobody.
pub(super) struct Quiet {
    socket: TcpStream,
    look: Notify,
}

/// Connects. On the runtime that is to read.
pub(super) async fn connect(address: &ConnectionAddr, reads: Reads) -> io::Result<(Reader, Writer)> {
    let ConnectionAddr::Tcp(host, port) = address else { return Err(io::ErrorKind::Unsupported.into()) };
    let stream = tokio::net::TcpStream::connect((host.as_str(), *port)).await?;
    stream.set_nodelay(true)?;
    // A connection that is given up takes what it has not sent with it. Otherwise the kernel would go on trying, and after
    // a broken network has healed, old messages might arrive behind new ones.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(match reads {
        Reads::AtOnce => {
            let (reader, writer) = stream.into_split();
            (Reader::AtOnce(reader), Writer::AtOnce(writer))
        }
        Reads::NowAndThen => {
            let quiet = Arc::new(Quiet { socket: stream.into_std()?, look: Notify::new() });
            let (from, scratch) = (Arc::clone(&quiet), vec![0; READ_BYTES].into());
            (Reader::NowAndThen { from, pause: SHORTEST_PAUSE, scratch }, Writer::NowAndThen(quiet))
        }
    })
}

/// The end that is written to by several threads.
pub(super) struct Outlet {
    pub writer: Writer,
    /// Told when the system takes no more for now.
    stuck: Notify,
}

impl Outlet {
    pub fn new(writer: Writer) -> Self {
        Self { writer, stuck: Notify::new() }
    }

    /// Writes as much as the system takes of what waits in something locked.
    pub fn write<T>(
        &self,
        mut locked: MutexGuard<'_, T>,
        pending: fn(&mut T) -> &mut Pending,
    ) -> io::Result<()> {
        let waiting = pending(&mut locked);
        let written = waiting.write(|bytes| self.writer.try_write(bytes));
        let is_stuck = waiting.is_stuck();
        drop(locked);
        if is_stuck {
            self.stuck.notify_one();
        }
        written
    }

    /// Waits until the system takes more, where it took no more. It may be given up at any time.
    pub async fn can_write(&self, is_stuck: impl Fn() -> bool) {
        loop {
            let stuck = self.stuck.notified();
            if is_stuck() {
                return self.writer.writable().await;
            }
            stuck.await;
        }
    }
}

impl Writer {
    /// Writes as much as the system takes.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::AtOnce(half) => half.try_write(bytes),
            Self::NowAndThen(quiet) => (&quiet.socket).write(bytes),
        }
    }

    /// By which address of this machine the other end is reached.
    pub fn local_ip(&self) -> Option<IpAddr> {
        let address = match self {
            Self::AtOnce(half) => half.local_addr(),
            Self::NowAndThen(quiet) => quiet.socket.local_addr(),
        };
        address.ok().map(|address| address.ip())
    }

    /// Waits until the system may take more.
    pub async fn writable(&self) {
        match self {
            // Where it fails, so does reading.
            Self::AtOnce(half) => drop(half.writable().await),
            Self::NowAndThen(_) => sleep(SHORTEST_PAUSE).await,
        }
    }

    /// There is something to be read, or soon, that is not to wait.
    pub fn look(&self) {
        if let Self::NowAndThen(quiet) = self {
            quiet.look.notify_one();
        }
    }
}

impl Reader {
    /// Reads what has come, once something has. Nothing is lost if it is given up.
    pub async fn read(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::AtOnce(half) => {
                input.reserve(READ_BYTES);
                half.read_buf(input).await
            }
            Self::NowAndThen { from, pause, scratch } => loop {
                match (&from.socket).read(scratch) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                    read => {
                        *pause = SHORTEST_PAUSE;
                        return read.inspect(|count| input.extend_from_slice(&scratch[..*count]));
                    }
                }
                tokio::select! {
                    () = sleep(*pause) => *pause = LONGEST_PAUSE.min(*pause * 2),
                    () = from.look.notified() => *pause = SHORTEST_PAUSE,
                }
            },
        }
    }
}
