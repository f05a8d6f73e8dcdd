//! The floor on tokio: a task per connection. Whoever has bytes for a connection writes them at once; what the
//! socket does not take waits under the connection's lock, and its own task writes it later.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, Mutex, RwLock},
};

use anyhow::{Context, Result};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::protocol::Session;

const READ_BYTES: usize = 16 * 1024;

struct Conn {
    stream: TcpStream,
    unsent: Mutex<Vec<u8>>,
    more: Notify,
}

type All = Arc<RwLock<Vec<Arc<Conn>>>>;

impl Conn {
    /// An error is left to the reader, which sees the same end of the connection.
    fn send(&self, data: &[u8]) {
        let mut unsent = self.unsent.lock().expect("no holder panics");
        let was_clear = unsent.is_empty();
        let sent = if was_clear { self.stream.try_write(data).unwrap_or(0) } else { 0 };
        unsent.extend_from_slice(&data[sent..]);
        if was_clear && !unsent.is_empty() {
            self.more.notify_one();
        }
    }

    fn send_rest(&self) {
        let mut unsent = self.unsent.lock().expect("no holder panics");
        if let Ok(sent) = self.stream.try_write(&unsent) {
            unsent.drain(..sent);
        }
    }

    fn is_clear(&self) -> bool {
        self.unsent.lock().expect("no holder panics").is_empty()
    }
}

pub fn serve(listen: SocketAddr, threads: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_io().build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(listen).with_context(|| format!("listening on {listen}"))?;
        let listener: TcpListener = socket.listen(4096)?;
        eprintln!("floor on {} (tokio, {threads} threads)", listener.local_addr()?);
        let all = All::default();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(connection(stream, all.clone()));
        }
    })
}

async fn connection(stream: TcpStream, all: All) {
    let conn = Arc::new(Conn { stream, unsent: Mutex::new(Vec::new()), more: Notify::new() });
    all.write().expect("no holder panics").push(conn.clone());
    let end = talk(&conn, &all).await;
    all.write().expect("no holder panics").retain(|other| !Arc::ptr_eq(other, &conn));
    if let Err(error) = end {
        eprintln!("floor: {error:#}");
    }
}

async fn talk(conn: &Conn, all: &All) -> Result<()> {
    let mut session = Session::default();
    let (mut data, mut filled) = (vec![0; READ_BYTES], 0);
    let (mut own, mut every) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            ready = conn.stream.readable() => ready?,
            _ = conn.more.notified() => continue,
            _ = conn.stream.writable(), if !conn.is_clear() => {
                conn.send_rest();
                continue;
            }
        }
        if filled == data.len() {
            data.resize(filled * 2, 0);
        }
        match conn.stream.try_read(&mut data[filled..]) {
            Ok(0) => return Ok(()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        }
        let used = session.feed(&mut data[..filled], &mut own, &mut every)?;
        data.copy_within(used..filled, 0);
        filled -= used;
        if !own.is_empty() {
            conn.send(&own);
            own.clear();
        }
        if !every.is_empty() {
            all.read().expect("no holder panics").iter().for_each(|other| other.send(&every));
            every.clear();
        }
    }
}
