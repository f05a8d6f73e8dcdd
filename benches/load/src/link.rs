//! One TCP connection of a client: opens without blocking, gathers output until a flush, keeps the unfinished end
//! of what it read. It knows what it waits for but not what that means.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anyhow::{Context, Result};
use mio::{Interest, Registry, Token, net::TcpStream};
use socket2::{Domain, Protocol, Socket, Type};

/// What the next bytes from the server belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Await {
    /// Nothing was asked.
    Nothing,
    /// Polling: the open packet.
    Open,
    /// Polling: the answer to the POST of the namespace connect.
    Connect,
    /// Polling: the answer to the standing GET.
    Poll,
    /// Polling: the answer to a POST.
    Post,
    /// WebSocket: the 101.
    Switch,
    /// WebSocket: frames, from here on.
    Frames,
}

pub struct Link {
    stream: Option<TcpStream>,
    connecting: bool,
    pub awaiting: Await,
    pub out: Vec<u8>,
    sent: usize,
    /// Bytes of an item that has not arrived whole.
    pub tail: Vec<u8>,
}

pub enum Got {
    Bytes(usize),
    Drained,
    End,
}

impl Link {
    pub fn new() -> Self {
        Self {
            stream: None,
            connecting: false,
            awaiting: Await::Nothing,
            out: Vec::new(),
            sent: 0,
            tail: Vec::new(),
        }
    }

    pub fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    pub fn open(&mut self, to: SocketAddr, from: IpAddr, registry: &Registry, token: Token) -> Result<()> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), Some(Protocol::TCP))
            .context("opening a socket (too many open files?)")?;
        if from != IpAddr::V4(Ipv4Addr::UNSPECIFIED) {
            socket.bind(&SocketAddr::new(from, 0).into()).with_context(|| format!("binding to {from}"))?;
        }
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => {
                return Err(error).with_context(|| format!("connecting to {to}"));
            }
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        (self.stream, self.connecting) = (Some(stream), true);
        Ok(())
    }

    pub fn close(&mut self) {
        *self = Self::new();
    }

    /// To be called on writability. An event of an earlier connection with the same token does no harm.
    pub fn on_writable(&mut self) -> Result<()> {
        if let Some(stream) = &self.stream
            && self.connecting
        {
            if let Some(error) = stream.take_error()? {
                return Err(error).context("connecting");
            }
            self.connecting = stream.peer_addr().is_err();
        }
        self.flush()
    }

    /// Writes what was gathered, as far as the socket takes it.
    pub fn flush(&mut self) -> Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        while self.sent < self.out.len() && !self.connecting {
            match stream.write(&self.out[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("writing"),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        Ok(())
    }

    pub fn read(&mut self, buf: &mut [u8]) -> Result<Got> {
        let Some(stream) = &mut self.stream else { return Ok(Got::Drained) };
        loop {
            return match stream.read(buf) {
                Ok(0) => Ok(Got::End),
                Ok(count) => Ok(Got::Bytes(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Got::Drained),
                Err(error) if error.kind() == ErrorKind::NotConnected && self.connecting => Ok(Got::Drained),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error).context("reading"),
            };
        }
    }
}
