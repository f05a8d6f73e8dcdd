//! A binary packet arrives as one text message and then its attachments, in order and with nothing
//! between (Socket.IO protocol document, "Packet encoding", "Binary event").

use bytes::Bytes;

/// A packet and its attachments, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// The packet's text, without the Engine.IO type.
    pub text: String,
    /// Its attachments, in order.
    pub attachments: Vec<Bytes>,
}

/// Text where an attachment was due, or an attachment where none was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexpected {
    /// A text message came between a packet and its attachments.
    #[error("text where an attachment is due")]
    Text,
    /// A binary message came that belongs to no packet.
    #[error("an attachment that belongs to no packet")]
    Attachment,
}

/// The packet that waits for its attachments, if any.
#[derive(Debug, Default)]
pub struct Reassembly {
    waiting: Option<Box<(usize, Binary)>>,
}

impl Reassembly {
    /// Whether attachments are due, so that a text message would be an error.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// A text message came. Only for those that are no binary packets.
    pub fn handle_text(&self) -> Result<(), Unexpected> {
        if self.is_waiting() { Err(Unexpected::Text) } else { Ok(()) }
    }

    /// A packet with `count` attachments, at least one, came: it is complete only when they are here. Nothing
    /// is reserved for them.
    pub fn handle_packet(&mut self, text: &str, count: usize) -> Result<(), Unexpected> {
        self.handle_text()?;
        self.waiting = Some(Box::new((count, Binary { text: text.to_owned(), attachments: Vec::new() })));
        Ok(())
    }

    /// A binary message came: the next attachment, perhaps the last.
    pub fn handle_attachment(&mut self, data: Bytes) -> Result<Option<Binary>, Unexpected> {
        let (count, packet) = self.waiting.as_deref_mut().ok_or(Unexpected::Attachment)?;
        packet.attachments.push(data);
        if packet.attachments.len() < *count {
            return Ok(None);
        }
        Ok(self.waiting.take().map(|done| done.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachments_complete_a_packet() {
        let mut reassembly = Reassembly::default();
        assert_eq!(reassembly.handle_packet("52-[\"a\"]", 2), Ok(()));
        assert_eq!(reassembly.handle_attachment(Bytes::from_static(b"1")), Ok(None));
        let done = reassembly.handle_attachment(Bytes::from_static(b"2")).unwrap().unwrap();
        assert_eq!(done.attachments, ["1", "2"]);
        assert!(!reassembly.is_waiting());
    }

    #[test]
    fn nothing_may_come_between() {
        let mut reassembly = Reassembly::default();
        assert_eq!(reassembly.handle_attachment(Bytes::new()), Err(Unexpected::Attachment));
        reassembly.handle_packet("51-[\"a\"]", 1).unwrap();
        assert_eq!(reassembly.handle_text(), Err(Unexpected::Text));
        assert_eq!(reassembly.handle_packet("51-[\"a\"]", 1), Err(Unexpected::Text));
    }
}
