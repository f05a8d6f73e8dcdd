//! The floor on tokio: a task per connection. Whoever has bytes for a connection writes them at once; what the
//! socket does not take waits under the connection's lock, and its own task writes it later.

use std::{
    cell::RefCell,
    collections::HashMap,
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, Mutex, RwLock},
};

use anyhow::{Context, Result};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::protocol::{Answers, Session};

const READ_BYTES: usize = 64 * 1024;

struct Conn {
    stream: TcpStream,
    unsent: Mutex<Vec<u8>>,
    more: Notify,
}

#[derive(Default)]
struct Everybody {
    all: Vec<Arc<Conn>>,
    rooms: HashMap<Box<[u8]>, Vec<Arc<Conn>>>,
}

type All = Arc<RwLock<Everybody>>;

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
    all.write().expect("no holder panics").all.push(conn.clone());
    let end = talk(&conn, &all).await; // of its rooms it stays a member: nobody leaves while anything is measured
    all.write().expect("no holder panics").all.retain(|other| !Arc::ptr_eq(other, &conn));
    if let Err(error) = end {
        eprintln!("floor: {error:#}");
    }
}

async fn talk(conn: &Arc<Conn>, all: &All) -> Result<()> {
    let (mut session, mut tail) = (Session::default(), Vec::new());
    loop {
        tokio::select! {
            ready = conn.stream.readable() => ready?,
            _ = conn.more.notified() => continue,
            _ = conn.stream.writable(), if !conn.is_clear() => {
                conn.send_rest();
                continue;
            }
        }
        let end = SCRATCH
            .with_borrow_mut(|(buf, answers)| receive(conn, all, &mut session, &mut tail, buf, answers))?;
        if end {
            return Ok(());
        }
    }
}

thread_local! {
    /// What a connection needs only while it reads.
    static SCRATCH: RefCell<(Vec<u8>, Answers)> = RefCell::new((vec![0; READ_BYTES], Answers::default()));
}

/// Reads what is there, and answers it; true at the end of the connection.
fn receive(
    conn: &Arc<Conn>,
    all: &All,
    session: &mut Session,
    tail: &mut Vec<u8>,
    buf: &mut Vec<u8>,
    answers: &mut Answers,
) -> Result<bool> {
    let held = tail.len();
    if buf.len() < held + READ_BYTES {
        buf.resize(held + READ_BYTES, 0);
    }
    buf[..held].copy_from_slice(tail);
    let filled = match conn.stream.try_read(&mut buf[held..]) {
        Ok(0) => return Ok(true),
        Ok(count) => held + count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let used = session.feed(&mut buf[..filled], answers)?;
    tail.clear();
    tail.extend_from_slice(&buf[used..filled]);
    if tail.is_empty() {
        *tail = Vec::new();
    }
    if !answers.own.is_empty() {
        conn.send(&answers.own);
        answers.own.clear();
    }
    for room in answers.joins.drain(..) {
        all.write().expect("no holder panics").rooms.entry(room).or_default().push(conn.clone());
    }
    if !answers.all.is_empty() {
        all.read().expect("no holder panics").all.iter().for_each(|other| other.send(&answers.all));
        answers.all.clear();
    }
    for (room, emit) in answers.rooms.drain(..) {
        let everybody = all.read().expect("no holder panics");
        everybody.rooms.get(&room).into_iter().flatten().for_each(|other| other.send(&emit));
    }
    Ok(false)
}
