//! Arguments that were received: JSON text and attachments, decoded by whoever wants them decoded.

use std::marker::PhantomData;

use bytes::Bytes;
use serde::Deserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::binary;
use crate::proto::sio;

/// All arguments of an event or an ack, as they came: JSON text, and attachments. For whoever passes them on,
/// or looks at them later.
///
/// ```
/// # use tokio_socketio::{Args, Io};
/// # let io = Io::new();
/// io.on("echo", |args: Args| async move { args });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// A valid JSON array.
    json: Box<str>,
    attachments: Vec<Bytes>,
}

/// Arguments that are not what the handler, or whoever waits for an ack, wants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ArgsError(String);

impl ArgsError {
    /// For the log: serde quotes what it was given, which is a client's own, and may be long.
    pub(super) fn without_values(&self) -> String {
        let text = &self.0;
        if text.starts_with("unknown ") {
            return "an unknown variant or field".to_owned();
        }
        let quoted = text.find('"').zip(text.rfind('"')).filter(|(from, to)| from < to);
        match quoted {
            Some((from, to)) => format!("{}…{}", &text[..=from], &text[to..]),
            None => text.clone(),
        }
    }
}

impl From<serde_json::Error> for ArgsError {
    fn from(error: serde_json::Error) -> Self {
        ArgsError(error.to_string())
    }
}

impl Args {
    /// `list`: what follows an array's opening bracket; already known to be valid.
    pub(super) fn new(list: &str, attachments: &[Bytes]) -> Self {
        let mut json = String::with_capacity(list.len() + 1);
        json.push('[');
        json.push_str(list);
        Args { json: json.into(), attachments: attachments.to_vec() }
    }

    /// From a whole array, which other nodes may have sent; `None` where it is none.
    pub(super) fn of_array(array: &str, attachments: &[Bytes]) -> Option<Self> {
        let list = array.trim_ascii_start().strip_prefix('[')?;
        is_valid(array, attachments.len()).then(|| Self::new(list, attachments))
    }

    /// The arguments as a JSON array. Attachments are placeholders in it.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The attachments.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// All arguments as one value: a tuple, a `Vec`, or whatever else comes from an array.
    ///
    /// # Errors
    /// The arguments are not of these types.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        binary::provide(&self.attachments, || Ok(serde_json::from_str(&sio::well_formed(&self.json))?))
    }

    /// The first argument; `null` stands for one that is missing.
    ///
    /// # Errors
    /// It is not of this type.
    pub fn first<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        struct First;
        impl<T: DeserializeOwned> Take<T> for First {
            fn take<S: Elements>(self, elements: &mut S) -> Result<T, S::Error> {
                elements.next_or_none()
            }
        }
        decode_array(&self.json, false, &self.attachments, First)
    }
}

/// What an ack is awaited as: its first argument as any type, or all of them as [`Args`].
pub trait FromArgs: Sized {
    /// Decodes the answer.
    ///
    /// # Errors
    /// The answer is not of this type.
    fn from_args(args: Args) -> Result<Self, ArgsError>;
}

impl<T: DeserializeOwned> FromArgs for T {
    fn from_args(args: Args) -> Result<Self, ArgsError> {
        args.first()
    }
}

impl FromArgs for Args {
    fn from_args(args: Args) -> Result<Self, ArgsError> {
        Ok(args)
    }
}

/// The elements of an array, one after the other, each as the type that is asked for.
pub trait Elements {
    /// Its error.
    type Error;
    /// The next element; `null` stands for one that is missing.
    fn next_or_none<T: DeserializeOwned>(&mut self) -> Result<T, Self::Error>;
}

struct Seq<'de, A>(A, PhantomData<&'de ()>);

impl<'de, A: SeqAccess<'de>> Elements for Seq<'de, A> {
    type Error = A::Error;

    fn next_or_none<T: DeserializeOwned>(&mut self) -> Result<T, A::Error> {
        match self.0.next_element()? {
            Some(element) => Ok(element),
            None => T::deserialize(Missing(PhantomData)),
        }
    }
}

/// Stands for an argument that was not sent: as nothing for an `Option` or `()`, as an error for all else.
struct Missing<E>(PhantomData<E>);

impl<'de, E: serde::de::Error> Deserializer<'de> for Missing<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(E::custom("an argument is missing"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// What takes elements of a sequence and makes something of them.
pub(super) trait Take<R> {
    fn take<S: Elements>(self, elements: &mut S) -> Result<R, S::Error>;
}

/// Decodes an array's elements as far as `take` takes them; the others only have to be valid JSON.
pub(super) fn decode_array<R>(
    array: &str,
    skip_first: bool,
    attachments: &[Bytes],
    take: impl Take<R>,
) -> Result<R, ArgsError> {
    struct Visit<R, T>(bool, T, PhantomData<R>);
    impl<'de, R, T: Take<R>> Visitor<'de> for Visit<R, T> {
        type Value = R;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("arguments")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<R, A::Error> {
            if self.0 {
                seq.next_element::<IgnoredAny>()?;
            }
            let mut seq = Seq(seq, PhantomData);
            let result = self.1.take(&mut seq)?;
            while seq.0.next_element::<IgnoredAny>()?.is_some() {}
            Ok(result)
        }
    }
    let array = sio::well_formed(array);
    let mut json = serde_json::Deserializer::from_str(&array);
    binary::provide(attachments, || {
        let result = json.deserialize_seq(Visit(skip_first, take, PhantomData))?;
        json.end()?;
        Ok(result)
    })
}

/// Whether this is valid JSON, no deeper than serde_json goes, in which every placeholder has its attachment. Where one
/// has not, the packet is malformed (reference parser, "illegal attachments").
pub(super) fn placeholders_fit(array: &str, attachments: usize) -> bool {
    let array = sio::well_formed(array);
    let mut json = serde_json::Deserializer::from_str(&array);
    Placeholders { attachments }.deserialize(&mut json).is_ok() && json.end().is_ok()
}

/// Walks any JSON, and fails at a placeholder that has no attachment.
#[derive(Clone, Copy)]
struct Placeholders {
    attachments: usize,
}

impl<'de> DeserializeSeed<'de> for Placeholders {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Placeholders {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut is_placeholder, mut number) = (false, None);
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match &*key {
                "_placeholder" => is_placeholder = map.next_value::<serde_json::Value>()? == true,
                "num" => number = Some(map.next_value::<serde_json::Value>()?),
                _ => map.next_value_seed(self)?,
            }
        }
        let fits = |number: Option<serde_json::Value>| {
            number.and_then(|n| n.as_u64()).is_some_and(|n| n < self.attachments as u64)
        };
        if is_placeholder && !fits(number) {
            return Err(A::Error::custom("a placeholder without its attachment"));
        }
        Ok(())
    }
}

/// Whether the text is valid JSON although it could not be decoded as what was wanted.
pub(super) fn is_valid(array: &str, attachments: usize) -> bool {
    if attachments == 0 { sio::is_json(array) } else { placeholders_fit(array, attachments) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_taken_as_they_are_asked_for() {
        let args = Args::new("1,\"two\",[3]]", &[]);
        assert_eq!(args.decode::<(u8, String, Vec<u8>)>(), Ok((1, "two".into(), vec![3])));
        assert_eq!(args.first(), Ok(1));
        assert!(args.first::<String>().is_err());
        let cut = Args::new(r#""a\ud83d"]"#, &[]);
        assert_eq!((cut.first::<String>(), cut.json()), (Ok("a\u{fffd}".into()), r#"["a\ud83d"]"#));
        assert_eq!(cut.decode::<(String,)>(), Ok(("a\u{fffd}".into(),)));
        let none = Args::new("]", &[]);
        assert_eq!((none.first::<Option<u8>>(), none.first::<()>()), (Ok(None), Ok(())));
        assert!(none.first::<u8>().unwrap_err().to_string().starts_with("an argument is missing"));
    }

    #[test]
    fn what_a_client_wrote_is_not_logged() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Fruit {
            Apple,
        }
        let args = Args::new(r#""a secret"]"#, &[]);
        for error in [args.first::<u8>().unwrap_err(), args.first::<Fruit>().unwrap_err()] {
            assert!(error.to_string().contains("a secret"), "{error}");
            assert!(!error.without_values().contains("secret"), "{}", error.without_values());
        }
        let missing = Args::new("]", &[]).first::<u8>().unwrap_err();
        assert_eq!(missing.without_values(), missing.to_string());
        assert!(Args::new(r#""apple"]"#, &[]).first::<Fruit>().is_ok_and(|Fruit::Apple| true));
    }

    #[test]
    fn placeholders_must_have_their_attachments() {
        for (array, attachments, fit) in [
            (r#"["a",{"_placeholder":true,"num":0}]"#, 1, true),
            (r#"["a",[{"b":{"num":1,"_placeholder":true}}]]"#, 2, true),
            (r#"["a",{"_placeholder":true,"num":1}]"#, 1, false),
            (r#"["a",{"_placeholder":true,"num":-1}]"#, 1, false),
            (r#"["a",{"_placeholder":true,"num":0}]x"#, 1, false),
            (r#"["a",{"_placeholder":true,"num":0}]]"#, 1, false),
            (r#"["a",{"_placeholder":true,"num":0},"\ud83d"] "#, 1, true),
            (r#"["a",{"_placeholder":true,"num":1},"\ud83d"]"#, 1, false),
            (r#"["a",{"_placeholder":true,"num":"0"}]"#, 1, false),
            (r#"["a",{"_placeholder":true}]"#, 1, false),
            (r#"["a",{"_placeholder":false,"num":9,"x":[1.5,null,"\ud800"]}]"#, 1, true),
            (r#"["a",{"_placeholder":false,"num":9}]"#, 1, true),
        ] {
            assert_eq!(placeholders_fit(array, attachments), fit, "{array}");
        }
    }
}
