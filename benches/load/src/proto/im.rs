//! What the node's IM service says about messages, as far as the generator needs it: found in the JSON where it must
//! stand, and parsed only where that is rare. A group's name is its number; a text names the moment it was due.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use nix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::Value;

/// Hex digits at the start of each text.
const STAMP: usize = 16;

/// Nanoseconds of a clock that all processes of the machine share.
pub fn now_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// Appends the packet that sends a text of `size` bytes to a group.
pub fn put_message(out: &mut Vec<u8>, id: u64, group: u64, stamp: u64, size: usize) {
    let filler = size.saturating_sub(STAMP);
    write!(
        out,
        "42{id}[\"send_message\",{{\"groupId\":{group},\"messageType\":1,\"content\":\"{stamp:016x}{:x<filler$}\"}}]",
        ""
    )
    .expect("writing to memory");
}

/// Appends the packet that asks for what a group has after a number.
pub fn put_sync(out: &mut Vec<u8>, id: u64, group: u64, after: u64) {
    write!(
        out,
        "42{id}[\"sync_messages\",{{\"conversation\":\"g:{group}\",\"afterSeq\":{after},\"limit\":500}}]"
    )
    .expect("writing to memory");
}

/// A message to a group, as it arrives.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub group: u64,
    pub seq: u64,
    pub stamp: u64,
}

/// The message in the array of an event, if it is one to a group.
pub fn read_message(array: &[u8]) -> Result<Option<Message>> {
    let Some(rest) = array.strip_prefix(b"[\"group_message\",") else { return Ok(None) };
    read_body(rest).map(Some)
}

/// The message in the answer to the one who has sent it.
pub fn read_answer(args: &[u8]) -> Result<Message> {
    ensure!(args.starts_with(b"[{\"success\":true,"), "refused: {}", super::packet::show(args));
    read_body(args)
}

fn read_body(json: &[u8]) -> Result<Message> {
    let damaged = || format!("a message without number, group or stamp: {}", super::packet::show(json));
    let (seq, rest) = number(json, b"\"seq\":").with_context(damaged)?;
    let (group, rest) = number(rest, b"\"groupId\":").with_context(damaged)?;
    let content = behind(rest, b"\"content\":\"").with_context(damaged)?;
    let digits =
        content.get(..STAMP).and_then(|digits| std::str::from_utf8(digits).ok()).with_context(damaged)?;
    Ok(Message { group, seq, stamp: u64::from_str_radix(digits, 16).with_context(damaged)? })
}

fn behind<'a>(json: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    memchr::memmem::find(json, name).map(|at| &json[at + name.len()..])
}

fn number<'a>(json: &'a [u8], name: &[u8]) -> Option<(u64, &'a [u8])> {
    let rest = behind(json, name)?;
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some((std::str::from_utf8(&rest[..len]).ok()?.parse().ok()?, &rest[len..]))
}

/// A page of a conversation: the numbers of its messages, and whether there are more.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub seqs: Vec<u64>,
    pub has_more: bool,
}

pub fn read_page(args: &[u8]) -> Result<Page> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Data {
        messages: Vec<Value>,
        has_more: bool,
    }
    let (mut answer,): (Value,) = serde_json::from_slice(args)?;
    ensure!(answer["success"] == Value::Bool(true), "refused: {answer}");
    let data: Data = serde_json::from_value(answer["data"].take())?;
    let seq = |message: &Value| message["seq"].as_u64().context("a message without number");
    Ok(Page { seqs: data.messages.iter().map(seq).collect::<Result<_>>()?, has_more: data.has_more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_with_its_stamp() {
        let mut out = Vec::new();
        put_message(&mut out, 7, 3, 0xABC, 20);
        let packet = r#"427["send_message",{"groupId":3,"messageType":1,"content":"0000000000000abcxxxx"}]"#;
        assert_eq!(String::from_utf8(out).unwrap(), packet);
        let message = r#"{"id":9,"conversation":"g:3","seq":12,"fromUserId":1,"groupId":3,"messageType":1,"content":"0000000000000abcxxxx"}"#;
        let expected = Message { group: 3, seq: 12, stamp: 0xABC };
        let event = format!("[\"group_message\",{message}]");
        assert_eq!(read_message(event.as_bytes()).unwrap().unwrap(), expected);
        let answer = format!("[{{\"success\":true,\"message\":\"ok\",\"data\":{message}}}]");
        assert_eq!(read_answer(answer.as_bytes()).unwrap(), expected);
        assert_eq!(read_message(b"[\"connected\",{}]").unwrap(), None);
        assert!(read_message(b"[\"group_message\",{\"seq\":1}]").is_err());
        assert!(read_answer(b"[{\"success\":false}]").is_err());
    }

    #[test]
    fn a_page_is_read() {
        let page =
            br#"[{"success":true,"message":"ok","data":{"messages":[{"seq":4},{"seq":5}],"hasMore":true}}]"#;
        assert_eq!(read_page(page).unwrap(), Page { seqs: vec![4, 5], has_more: true });
        assert!(read_page(br#"[{"success":false,"message":"no"}]"#).is_err());
    }
}
