//! A TCP proxy on loopback that can break the way between a client and a server as networks do.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Pass,
    Stall,
    Cut,
}

/// A proxy. It ends when dropped, and all its connections with it.
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    /// Starts one, on a free port, that leads to this port.
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, seen) = watch::channel(Mode::Pass);
        tokio::spawn(serve(listener, port, seen));
        Self { address, mode }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends all connections, and from now on each new one at once.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Leaves connections open and takes new ones, but lets nothing through.
    pub fn stall(&self) {
        self.mode.send_replace(Mode::Stall);
    }

    /// Lets everything through, what was held up first.
    pub fn mend(&self) {
        self.mode.send_replace(Mode::Pass);
    }
}

async fn serve(listener: TcpListener, port: u16, mut mode: watch::Receiver<Mode>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                if *mode.borrow() != Mode::Cut {
                    connections.spawn(connection(client, port, mode.clone()));
                }
            }
            Some(_) = connections.join_next() => (),
            changed = mode.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

async fn connection(client: TcpStream, port: u16, mut mode: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, mode.clone()) => (),
        () = pump(from_server, to_client, mode.clone()) => (),
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => (),
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if mode.wait_for(|mode| *mode != Mode::Stall).await.is_err()
            || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}
