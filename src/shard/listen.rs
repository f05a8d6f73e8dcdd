//! Listening sockets: one per shard on the same address, among which the kernel spreads connections.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// Binds `count` sockets to one address (`SO_REUSEPORT`), which is known exactly afterwards if its port was 0.
///
/// # Errors
/// The system's; also where another program listens there already, which would get some of the clients.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    if address.port() != 0 {
        // Without the option the system refuses an address that somebody listens on, whatever that one's options are.
        new_socket(address)?.bind(&address.into())?;
    }
    let mut address = address;
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        let listener = bind_one(address)?;
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok((address, listeners))
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(address)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // Small frames must not wait for the peer's delayed acks. What is accepted has it from here.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a former process that linger do no harm.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn an_address_is_not_shared_with_another_server() {
        let (address, listeners) = bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
        assert_eq!(bind(address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // A connection that the server has closed first lingers at its port.
        listeners.iter().for_each(|listener| listener.set_nonblocking(false).unwrap());
        let mut clients: Vec<_> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
        drop(listeners);
        clients.clear();
        assert_eq!(bind(address, 2).unwrap().0, address);
    }

    #[test]
    fn what_is_accepted_sends_at_once() {
        let (address, listeners) = bind(([127, 0, 0, 1], 0).into(), 1).unwrap();
        listeners[0].set_nonblocking(false).unwrap();
        let _client = TcpStream::connect(address).unwrap();
        assert!(listeners[0].accept().unwrap().0.nodelay().unwrap());
    }
}
