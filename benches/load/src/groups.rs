//! Makes groups over the HTTP API of a node: one request, one connection, no HTTP library.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// A new group of `owner` and the `members`; gives its number.
pub fn create(api: SocketAddr, owner: u64, members: &[u64]) -> Result<u64> {
    let body = json!({ "name": format!("group of {owner}"), "memberIds": members }).to_string();
    let mut stream = TcpStream::connect(api).with_context(|| format!("the API at {api}"))?;
    write!(
        stream,
        "POST /api/group/create?operatorId={owner} HTTP/1.1\r\nHost: {api}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let json = answer.split_once("\r\n\r\n").context("no answer to group/create")?.1;
    let json: Value = serde_json::from_str(json).with_context(|| format!("group/create: {answer}"))?;
    json["data"]["id"].as_u64().with_context(|| format!("group/create: {json}"))
}
