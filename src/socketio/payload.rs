//! How Rust values become arguments.

use serde::ser::{Impossible, SerializeTuple};
use serde::{Serialize, Serializer};

use super::Args;
use super::binary;

/// What an event or an ack can carry: anything that serde serializes, or [`Args`] that were received.
///
/// A tuple (or an array of fixed length) is several arguments, `()` is none (serde can't tell it from JSON's
/// `null`), and everything else is one.
///
/// | in Rust | in JavaScript |
/// |---|---|
/// | `emit("e", ())` | `emit("e")` |
/// | `emit("e", "text")` | `emit("e", "text")` |
/// | `emit("e", (1, "text"))` | `emit("e", 1, "text")` |
/// | `emit("e", vec![1, 2])` | `emit("e", [1, 2])` |
pub trait Payload {
    /// Appends the arguments, separated by commas.
    ///
    /// # Errors
    /// The value can't be JSON (a map whose keys are no strings, say).
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}

/// A value that can't be sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(String);

impl EncodeError {
    pub(super) fn reserved(name: &str) -> Self {
        EncodeError(format!("the event name {name:?} is reserved"))
    }
}

impl From<serde_json::Error> for EncodeError {
    fn from(error: serde_json::Error) -> Self {
        EncodeError(error.to_string())
    }
}

impl Payload for Args {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !binary::attach_all(self.attachments()) {
            return Err(EncodeError("Args with attachments stand alone".into()));
        }
        let array = self.json().trim_ascii().as_bytes();
        out.extend_from_slice(&array[1..array.len() - 1]);
        Ok(())
    }
}

impl<T: Serialize> Payload for T {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (start, attached) = (out.len(), binary::attached());
        match self.serialize(Spread(&mut *out)) {
            Ok(()) => Ok(()),
            Err(Shape::One) => {
                out.truncate(start);
                binary::detach(attached);
                Ok(serde_json::to_writer(out, self)?)
            }
            Err(Shape::Failed(message)) => Err(EncodeError(message)),
        }
    }
}

/// A serializer that writes the elements of a tuple side by side, and refuses all that is no tuple.
struct Spread<'a>(&'a mut Vec<u8>);

/// What was found instead of a tuple.
#[derive(Debug, thiserror::Error)]
enum Shape {
    #[error("one value")]
    One,
    #[error("{0}")]
    Failed(String),
}

impl serde::ser::Error for Shape {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Shape::Failed(message.to_string())
    }
}

impl SerializeTuple for Spread<'_> {
    type Ok = ();
    type Error = Shape;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Shape> {
        serde_json::to_writer(&mut *self.0, value).map_err(|e| Shape::Failed(e.to_string()))?;
        self.0.push(b',');
        Ok(())
    }

    fn end(self) -> Result<(), Shape> {
        self.0.pop();
        Ok(())
    }
}

macro_rules! one_value {
    ($($name:ident($($type:ty),*);)*) => {
        $(fn $name(self, $(_: $type),*) -> Result<(), Shape> { Err(Shape::One) })*
    };
}

macro_rules! one_compound {
    ($($name:ident($($type:ty),*) -> $compound:ident;)*) => {
        $(fn $name(self, $(_: $type),*) -> Result<Self::$compound, Shape> { Err(Shape::One) })*
    };
}

impl<'a> Serializer for Spread<'a> {
    type Ok = ();
    type Error = Shape;
    type SerializeTuple = Spread<'a>;
    type SerializeSeq = Impossible<(), Shape>;
    type SerializeTupleStruct = Impossible<(), Shape>;
    type SerializeTupleVariant = Impossible<(), Shape>;
    type SerializeMap = Impossible<(), Shape>;
    type SerializeStruct = Impossible<(), Shape>;
    type SerializeStructVariant = Impossible<(), Shape>;

    fn serialize_tuple(self, elements: usize) -> Result<Spread<'a>, Shape> {
        if elements == 0 { Err(Shape::One) } else { Ok(self) }
    }

    fn serialize_unit(self) -> Result<(), Shape> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Shape> {
        Err(Shape::One)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<(), Shape> {
        Err(Shape::One)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Shape> {
        Err(Shape::One)
    }

    one_value! {
        serialize_bool(bool); serialize_i8(i8); serialize_i16(i16); serialize_i32(i32); serialize_i64(i64);
        serialize_u8(u8); serialize_u16(u16); serialize_u32(u32); serialize_u64(u64); serialize_f32(f32);
        serialize_i128(i128); serialize_u128(u128); serialize_f64(f64); serialize_char(char);
        serialize_str(&str); serialize_bytes(&[u8]);
        serialize_none(); serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    one_compound! {
        serialize_seq(Option<usize>) -> SerializeSeq;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_map(Option<usize>) -> SerializeMap;
        serialize_struct(&'static str, usize) -> SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::HashMap;

    fn encoded(payload: impl Payload) -> String {
        let mut out = Vec::new();
        payload.encode(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tuples_are_several_arguments() {
        assert_eq!(encoded(()), "");
        assert_eq!(encoded("a"), r#""a""#);
        assert_eq!(encoded((1, "a", [2])), r#"1,"a",[2]"#);
        assert_eq!(encoded(((1, 2),)), "[1,2]");
        assert_eq!(encoded(vec![1, 2]), "[1,2]");
        assert_eq!(encoded(json!({"a": [1]})), r#"{"a":[1]}"#);
        assert_eq!(encoded(json!(null)), "");
        assert_eq!(encoded(None::<u8>), "null");
        assert_eq!(encoded(Some((1, 2))), "[1,2]");
        assert_eq!(encoded(u128::MAX), u128::MAX.to_string());
    }

    #[test]
    fn received_arguments_pass_through() {
        assert_eq!(encoded(Args::new("1,[[2]]]", &[])), "1,[[2]]");
        assert_eq!(encoded(Args::new("]", &[])), "");
        assert_eq!(encoded(Args::new("[] ] ", &[])).trim(), "[]");
    }

    #[test]
    fn what_is_alone_is_attached_once() {
        use crate::socketio::Binary;
        #[derive(Serialize)]
        struct File {
            name: &'static str,
            data: Binary,
        }
        let file = File { name: "n", data: Binary::from("a") };
        let (a, b) = (Binary::from("a"), Binary::from("b"));
        type Encode<'a> = &'a dyn Fn(&mut Vec<u8>) -> Result<(), EncodeError>;
        let payloads: [(usize, Encode<'_>); 4] = [
            (1, &|out| a.encode(out)),
            (1, &|out| file.encode(out)),
            (2, &|out| (&a, &b).encode(out)),
            (2, &|out| vec![&a, &b].encode(out)),
        ];
        for (count, payload) in payloads {
            let mut out = Vec::new();
            let (encoded, attachments) = binary::collect(|| payload(&mut out));
            encoded.unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(attachments.len(), count, "{text}");
            assert!(
                text.contains(&format!("\"num\":{}", count - 1))
                    && !text.contains(&format!("\"num\":{count}")),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_json_is_said() {
        let mut out = Vec::new();
        assert!(HashMap::from([((1, 2), 3)]).encode(&mut out).is_err());
    }
}
