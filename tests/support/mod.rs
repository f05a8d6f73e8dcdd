//! A small client of our own for tests of the library: it says exactly what a test wants it to say.

#![allow(dead_code, reason = "each test file uses its own part of this")]

pub mod comeback;

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_socketio::proto::ws::{Decoder, Event, FrameHeader, Limits, Opcode, Role, unmask};
use tokio_socketio::{Io, IoBuilder, Server};

/// How long anything may take before a test gives up. No test waits so long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until a condition holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Starts a server on a free port.
pub fn start(builder: IoBuilder, define: impl FnOnce(&Io)) -> (Io, Server, SocketAddr) {
    let io = builder.build();
    define(&io);
    let server = io.listen("127.0.0.1:0").expect("a free port");
    let address = server.addresses()[0];
    (io, server, address)
}

/// What a server says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Text(String),
    Binary(Vec<u8>),
    /// The connection is over, with the WebSocket close code if there was one.
    Closed(Option<u16>),
}

/// A WebSocket client.
pub struct Client {
    stream: TcpStream,
    decoder: Decoder,
    input: Vec<u8>,
    pub sid: String,
}

impl Client {
    /// Opens an Engine.IO session over WebSocket.
    pub async fn open(address: SocketAddr) -> Client {
        Self::open_at(address, "/socket.io/?EIO=4&transport=websocket").await
    }

    /// The same, with path and query.
    pub async fn open_at(address: SocketAddr, target: &str) -> Client {
        let mut client = Self::upgrade(address, target).await.expect("the upgrade is accepted");
        let Said::Text(open) = client.raw().await else { panic!("no open packet") };
        let open: serde_json::Value =
            serde_json::from_str(open.strip_prefix('0').expect("an open packet")).unwrap();
        client.sid = open["sid"].as_str().unwrap().to_owned();
        client
    }

    /// Asks for a WebSocket; gives the whole answer where that is refused.
    pub async fn upgrade(address: SocketAddr, target: &str) -> Result<Client, String> {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Test: yes\r\n\r\n"
        );
        Self::upgrade_with(address, &request).await
    }

    /// The same, with the whole request.
    pub async fn upgrade_with(address: SocketAddr, request: &str) -> Result<Client, String> {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut input = Vec::new();
        let end = loop {
            if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if timeout(PATIENCE, stream.read_buf(&mut input)).await.expect("an answer").unwrap() == 0 {
                return Err(String::from_utf8_lossy(&input).into_owned());
            }
        };
        if !input.starts_with(b"HTTP/1.1 101") {
            let _ = timeout(PATIENCE, stream.read_to_end(&mut input)).await.expect("the end of the answer");
            return Err(String::from_utf8_lossy(&input).into_owned());
        }
        input.drain(..end);
        Ok(Client { stream, decoder: Decoder::new(), input, sid: String::new() })
    }

    /// Opens a session, and joins the root namespace.
    pub async fn join(address: SocketAddr) -> Client {
        let mut client = Self::open(address).await;
        client.send("40").await;
        assert!(client.text().await.starts_with("40{\"sid\":"), "the answer to CONNECT");
        client
    }

    /// Joins as many clients as it takes to have one on each of so many shards.
    pub async fn join_on_each_shard(address: SocketAddr, shards: u16) -> Vec<Client> {
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..500 {
            let client = Self::join(address).await;
            if clients.iter().all(|other| other.shard() != client.shard()) {
                clients.push(client);
            }
            if clients.len() == usize::from(shards) {
                return clients;
            }
        }
        panic!("500 connections, and not one on some shard");
    }

    /// The shard that its session lives on.
    pub fn shard(&self) -> u16 {
        shard_of(&self.sid)
    }

    /// Sends a text frame.
    pub async fn send(&mut self, text: &str) {
        self.frame(Opcode::Text, text.as_bytes()).await;
    }

    /// Sends a binary frame.
    pub async fn send_binary(&mut self, data: &[u8]) {
        self.frame(Opcode::Binary, data).await;
    }

    async fn frame(&mut self, opcode: Opcode, data: &[u8]) {
        let key = [1, 2, 3, 4];
        let mut out = Vec::new();
        FrameHeader { fin: true, rsv1: false, opcode, mask: Some(key), len: data.len() as u64 }
            .encode(&mut out);
        let start = out.len();
        out.extend_from_slice(data);
        unmask(&mut out[start..], key, 0);
        // A server that has closed is what some tests are about.
        let _ = self.stream.write_all(&out).await;
    }

    /// What comes next, pings answered and left out.
    pub async fn said(&mut self) -> Said {
        loop {
            match self.raw().await {
                Said::Text(text) if text == "2" => self.send("3").await,
                said => return said,
            }
        }
    }

    /// What comes next, pings included.
    pub async fn raw(&mut self) -> Said {
        let limits = Limits { max_message: 1 << 24, allow_rsv1: false, role: Role::Client };
        loop {
            if !self.input.is_empty() {
                let (used, said) = {
                    let (used, event) = self.decoder.decode(&mut self.input, &limits).expect("proper frames");
                    let said = event.and_then(|event| match event {
                        Event::Text(text) => Some(Said::Text(text.into_owned())),
                        Event::Binary(data) => Some(Said::Binary(data.into_owned())),
                        Event::Close(close) => Some(Said::Closed(close.map(|(code, _)| code))),
                        _ => None,
                    });
                    (used, said)
                };
                self.input.drain(..used);
                if let Some(said) = said {
                    return said;
                }
                continue;
            }
            match timeout(PATIENCE, self.stream.read_buf(&mut self.input))
                .await
                .expect("something is said in time")
            {
                Ok(0) | Err(_) => return Said::Closed(None),
                Ok(_) => (),
            }
        }
    }

    /// The next text.
    pub async fn text(&mut self) -> String {
        match self.said().await {
            Said::Text(text) => text,
            other => panic!("{other:?} where text is due"),
        }
    }

    /// The next text must be this.
    pub async fn expect(&mut self, text: &str) {
        assert_eq!(self.text().await, text);
    }

    /// Everything until the connection ends, and the close code.
    pub async fn until_closed(&mut self) -> (Vec<String>, Option<u16>) {
        let mut texts = Vec::new();
        loop {
            match self.said().await {
                Said::Text(text) => texts.push(text),
                Said::Binary(_) => (),
                Said::Closed(code) => return (texts, code),
            }
        }
    }
}

/// The shard that a session id names: its first two bytes.
pub fn shard_of(sid: &str) -> u16 {
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(sid).unwrap();
    u16::from_be_bytes([bytes[0], bytes[1]])
}

/// One request on a connection of its own: status and body.
pub async fn request(address: SocketAddr, method: &str, target: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let answer = raw_request(
        address,
        &format!(
            "{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
    .await;
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

/// Sends these bytes on a connection of their own, and gives all that is answered until it ends: nothing, where the server
/// does not accept any more.
pub async fn raw_request(address: SocketAddr, bytes: &str) -> String {
    let mut answer = Vec::new();
    let Ok(mut stream) = TcpStream::connect(address).await else { return String::new() };
    if stream.write_all(bytes.as_bytes()).await.is_err() {
        return String::new();
    }
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}
