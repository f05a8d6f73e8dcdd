//! A TCP connection of a shard: the stream, what is still to be written to it, and what it is used for.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::http::Http;
use super::ready;
use super::tally::Limit;
use crate::ids::Key;
use crate::proto::ws;
use crate::session::{Link, Outbox, Time};

/// A connection.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    /// What is to be written, framed for what the connection is used for.
    pub out: Outbox,
    pub phase: Phase,
    pub rate: Rate,
    /// The peer's address, where connections are counted by address.
    pub ip: Option<Box<IpAddr>>,
    /// What is written is written, and then the connection is closed.
    pub closing: bool,
    /// Listed for a flush at the end of this turn.
    pub dirty: bool,
}

/// What a connection is used for.
#[derive(Debug)]
pub enum Phase {
    /// Requests come, one after the other.
    Http(Box<Http>),
    /// A WebSocket: of a session, or probing to be.
    WebSocket { decoder: ws::Decoder, session: Key, link: Link },
    /// Nothing any more: what comes is thrown away until the peer closes, or until then.
    Linger { until: Time },
}

/// How much a connection has sent in the current second.
#[derive(Debug, Default)]
pub struct Rate {
    second: u32,
    packets: u32,
    bytes: u64,
}

impl Rate {
    /// Counts, and says which limit (0 for none) does not hold any more.
    pub fn count(
        &mut self,
        packets: u32,
        bytes: usize,
        now: Time,
        max_packets: u32,
        max_bytes: u64,
    ) -> Result<(), Limit> {
        let second = (now.0 / 1000) as u32;
        if self.second != second {
            *self = Rate { second, packets: 0, bytes: 0 };
        }
        self.packets = self.packets.saturating_add(packets);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if max_packets > 0 && self.packets > max_packets {
            return Err(Limit::Packets);
        }
        if max_bytes > 0 && self.bytes > max_bytes {
            return Err(Limit::Bytes);
        }
        Ok(())
    }
}

/// What became of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes; more may be there.
    Some(usize),
    /// Nothing now; the connection will be in the ready list when there is.
    Nothing,
    /// The peer is done, or the connection broke.
    End,
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// Everything.
    All,
    /// Not everything; the connection will be in the ready list when it takes more.
    Blocked,
    /// The connection broke.
    Broken,
}

/// The most buffers that leave in one system call.
const MAX_SLICES: usize = 64;

impl Conn {
    pub fn new(stream: TcpStream, phase: Phase, ip: Option<Box<IpAddr>>) -> Self {
        let rate = Rate::default();
        Conn { stream, out: Outbox::default(), phase, rate, ip, closing: false, dirty: false }
    }

    /// Reads what there is, up to the buffer's size.
    pub fn read(&mut self, key: Key, buffer: &mut [u8]) -> Read {
        let waker = ready::waker(key);
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut self.stream).poll_read(&mut Context::from_waker(&waker), &mut buffer) {
            Poll::Pending => Read::Nothing,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => Read::Some(buffer.filled().len()),
            Poll::Ready(_) => Read::End,
        }
    }

    /// Writes what is to be written, in as few system calls as it takes.
    pub fn flush(&mut self, key: Key) -> Written {
        while !self.out.is_empty() {
            let written = match self.out.only() {
                Some(bytes) => self.stream.try_write(bytes),
                None => {
                    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                    let filled = self.out.io_slices(&mut slices);
                    self.stream.try_write_vectored(&slices[..filled])
                }
            };
            match written {
                Ok(n) => self.out.advance(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let waker = ready::waker(key);
                    match self.stream.poll_write_ready(&mut Context::from_waker(&waker)) {
                        Poll::Pending => return Written::Blocked,
                        Poll::Ready(Ok(())) => (),
                        Poll::Ready(Err(_)) => return Written::Broken,
                    }
                }
                Err(_) => return Written::Broken,
            }
        }
        Written::All
    }

    /// Tells the peer that nothing more will come.
    pub fn shutdown(&self) {
        // Fails where the peer has gone already, which is what is wanted.
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }

    /// Parts with its stream, for another shard to go on with.
    pub fn into_stream(self) -> io::Result<std::net::TcpStream> {
        self.stream.into_std()
    }
}
