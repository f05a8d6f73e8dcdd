//! What a connection costs in our own structures, kept in view. There is no task and no future per connection.

use std::mem::size_of;

use super::{Client, Entry, Member};
use crate::shard::{CONN_BYTES, Request, entry_bytes};
use crate::socketio::socket::INNER_BYTES;

/// What one connection with one socket may have, in bytes.
const BUDGET: usize = 1024;

#[test]
fn a_connection_fits_its_budget() {
    let reference_counts = 2 * size_of::<usize>();
    let parts = [
        ("connection", CONN_BYTES),
        ("session, with its Socket.IO client", entry_bytes::<Client>()),
        ("socket in its shard", size_of::<Entry>()),
        ("socket behind its handles", INNER_BYTES + reference_counts),
        ("handshake request", size_of::<Request>() + reference_counts),
        ("place among its namespace's members", size_of::<Member>()),
    ];
    for (part, bytes) in parts {
        println!("{bytes:5} {part}");
    }
    let sum: usize = parts.iter().map(|(_, bytes)| bytes).sum();
    println!("{sum:5} of {BUDGET}");
    assert!(sum <= BUDGET, "{sum} bytes for each connection, and the budget is {BUDGET}: {parts:?}");
}
