//! A Socket.IO client over WebSocket, on a WebSocket library that is not ours: a mistake on one side is not mirrored on
//! the other.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long anything may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(20);

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A user's connection.
pub struct Client {
    stream: Stream,
}

/// What a server says.
#[derive(Debug)]
pub enum Said {
    /// An event: its name and first argument.
    Event(String, Value),
    /// An ack: its first argument.
    Ack(Value),
}

impl Client {
    /// Connects as a user, and waits until the node has greeted it.
    pub async fn connect(port: u16, user: u64) -> Result<Client> {
        let url = format!("ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket&userId={user}");
        let (stream, _) = tokio_tungstenite::connect_async(url).await.context("can't connect")?;
        stream.get_ref().set_nodelay()?;
        let mut client = Client { stream };
        client.text().await?;
        client.send("40").await?;
        client.text().await?;
        loop {
            if let Said::Event(name, _) = client.next().await?
                && name == "connected"
            {
                return Ok(client);
            }
        }
    }

    /// Sends an event, with an id where an ack is wanted.
    pub async fn emit(&mut self, id: Option<u64>, event: &str, payload: &Value) -> Result<()> {
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        self.send(&format!("42{id}[\"{event}\",{payload}]")).await
    }

    /// The next event or ack. Pings are answered on the way.
    pub async fn next(&mut self) -> Result<Said> {
        loop {
            let text = self.text().await?;
            if let Some(said) = said(&text)? {
                return Ok(said);
            }
            if text == "2" {
                self.send("3").await?;
            }
        }
    }

    /// The first argument of the next event of this name.
    pub async fn event(&mut self, name: &str) -> Result<Value> {
        loop {
            if let Said::Event(found, payload) = self.next().await?
                && found == name
            {
                return Ok(payload);
            }
        }
    }

    /// Sends packets, all of them in one write.
    pub async fn send_all(&mut self, packets: impl Iterator<Item = String>) -> Result<()> {
        for packet in packets {
            self.stream.feed(Message::text(packet)).await?;
        }
        Ok(self.stream.flush().await?)
    }

    /// Waits for packets, and gives all that are there. Pings are answered on the way.
    pub async fn packets(&mut self) -> Result<Vec<Utf8Bytes>> {
        let mut packets = vec![self.text().await?];
        while let Some(message) = self.stream.next().now_or_never() {
            packets.push(text(message)?);
        }
        if packets.iter().any(|packet| *packet == "2") {
            self.send("3").await?;
        }
        Ok(packets)
    }

    async fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.stream.send(Message::text(text)).await?)
    }

    async fn text(&mut self) -> Result<Utf8Bytes> {
        text(tokio::time::timeout(PATIENCE, self.stream.next()).await.context("nothing is said")?)
    }
}

fn text(message: Option<tungstenite::Result<Message>>) -> Result<Utf8Bytes> {
    match message.context("the connection is over")?? {
        Message::Text(text) => Ok(text),
        other => bail!("{other:?} where text is due"),
    }
}

fn said(text: &str) -> Result<Option<Said>> {
    let (kind, rest) = match text.as_bytes() {
        [b'4', b'2', ..] => (2, &text[2..]),
        [b'4', b'3', ..] => (3, &text[2..]),
        _ => return Ok(None),
    };
    let json = &rest[rest.find('[').unwrap_or(rest.len())..];
    let mut args: Vec<Value> = serde_json::from_str(json)?;
    Ok(Some(match kind {
        2 => {
            let name = args[0].as_str().context("an event's name")?.to_owned();
            Said::Event(name, args.get_mut(1).map(Value::take).unwrap_or_default())
        }
        _ => Said::Ack(args.first_mut().map(Value::take).unwrap_or_default()),
    }))
}

trait Nodelay {
    fn set_nodelay(&self) -> Result<()>;
}

impl Nodelay for MaybeTlsStream<TcpStream> {
    fn set_nodelay(&self) -> Result<()> {
        match self {
            MaybeTlsStream::Plain(stream) => Ok(stream.set_nodelay(true)?),
            _ => Ok(()),
        }
    }
}
