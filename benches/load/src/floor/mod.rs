//! The floor: a server that writes the bytes that a Socket.IO server would write and does nothing else. No session,
//! no heartbeat, no namespaces, no checks; it finds the end of a frame, the ack id and the first comma, and copies.
//! What a real server costs above this is its own doing; what is below is the kernel's.

mod epoll;
mod protocol;
mod tokio;

use std::net::SocketAddr;

use anyhow::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineKind {
    /// Multi-thread runtime, a task per connection.
    Tokio,
    /// A bare event loop per thread, `SO_REUSEPORT` listeners.
    Epoll,
    /// The same, but each broadcast is written by itself: what gathering output is worth.
    EpollEach,
}

/// Serves until the process is ended.
pub fn serve(kind: EngineKind, listen: SocketAddr, threads: usize) -> Result<()> {
    anyhow::ensure!(threads > 0, "--threads must be positive");
    match kind {
        EngineKind::Tokio => tokio::serve(listen, threads),
        EngineKind::Epoll => epoll::serve(listen, threads, false),
        EngineKind::EpollEach => epoll::serve(listen, threads, true),
    }
}
