//! Bytes among the arguments: on the wire a placeholder in the JSON, and a frame of its own
//! (Socket.IO protocol document, "Packet encoding").
//!
//! serde knows nothing of frames, so the attachments of the packet that is being encoded or decoded stand in a
//! thread-local for exactly as long as that takes.

use std::cell::RefCell;

use bytes::Bytes;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that travel as they are, as an attachment. In JavaScript a `Buffer`, an `ArrayBuffer` or a typed array.
///
/// It is itself only while it is sent or received, so it has no place in a `serde_json::Value`: making one of it fails, and one
/// that is received has a placeholder in its place. To pass on whatever came, take [`Args`](super::Args).
///
/// ```
/// # use tokio_socketio::{Binary, Io};
/// # let io = Io::new();
/// io.on("upload", |name: String, file: Binary| async move { format!("{name}: {} bytes", file.0.len()) });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Binary(pub Bytes);

impl<T: Into<Bytes>> From<T> for Binary {
    fn from(bytes: T) -> Self {
        Binary(bytes.into())
    }
}

impl std::ops::Deref for Binary {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

thread_local! {
    static ENCODING: RefCell<Option<Vec<Bytes>>> = const { RefCell::new(None) };
    static DECODING: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
}

#[derive(Serialize, Deserialize)]
struct Placeholder {
    _placeholder: bool,
    num: usize,
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        attach(&self.0)
            .ok_or_else(|| S::Error::custom("Binary can only be sent as an argument of an event or an ack"))?
            .serialize(serializer)
    }
}

fn attach(bytes: &Bytes) -> Option<Placeholder> {
    ENCODING.with_borrow_mut(|attachments| {
        let attachments = attachments.as_mut()?;
        attachments.push(bytes.clone());
        Some(Placeholder { _placeholder: true, num: attachments.len() - 1 })
    })
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let placeholder = Placeholder::deserialize(deserializer)?;
        let found = DECODING.with_borrow(|attachments| attachments.get(placeholder.num).cloned());
        found
            .filter(|_| placeholder._placeholder)
            .map(Binary)
            .ok_or_else(|| D::Error::custom("no such attachment"))
    }
}

/// Runs `encode`, and gives the attachments that it has left behind.
pub(super) fn collect<T>(encode: impl FnOnce() -> T) -> (T, Vec<Bytes>) {
    let outer = OuterEncoding(ENCODING.replace(Some(Vec::new())));
    let result = encode();
    let attachments = ENCODING.take().unwrap_or_default();
    drop(outer);
    (result, attachments)
}

/// How many attachments the packet that is being encoded has.
pub(super) fn attached() -> usize {
    ENCODING.with_borrow(|attachments| attachments.as_ref().map_or(0, Vec::len))
}

/// Leaves only so many of them.
pub(super) fn detach(count: usize) {
    ENCODING.with_borrow_mut(|attachments| {
        if let Some(attachments) = attachments {
            attachments.truncate(count);
        }
    });
}

/// What stood there before, and does so again when this is dropped: also where the values' own code panics, or the next packet,
/// which is somebody else's, would be given what is left.
struct OuterEncoding(Option<Vec<Bytes>>);

impl Drop for OuterEncoding {
    fn drop(&mut self) {
        ENCODING.set(self.0.take());
    }
}

struct OuterDecoding(Vec<Bytes>);

impl Drop for OuterDecoding {
    fn drop(&mut self) {
        DECODING.set(std::mem::take(&mut self.0));
    }
}

/// Attaches what another packet brought. Its placeholders already count from 0, so this is right only for a
/// packet's whole arguments. `false`: something was attached before, so that the numbers would be wrong.
pub(super) fn attach_all(all: &[Bytes]) -> bool {
    all.is_empty()
        || ENCODING.with_borrow_mut(|attachments| {
            attachments.as_mut().filter(|a| a.is_empty()).map(|a| a.extend_from_slice(all)).is_some()
        })
}

/// Runs `decode` with these attachments at hand.
pub(super) fn provide<T>(attachments: &[Bytes], decode: impl FnOnce() -> T) -> T {
    if attachments.is_empty() && DECODING.with_borrow(Vec::is_empty) {
        return decode();
    }
    let _outer = OuterDecoding(DECODING.replace(attachments.to_vec()));
    decode()
}
