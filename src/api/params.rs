//! A request's parameters: from the path, the query or the body, wherever they stand (SPEC, section 5).

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::Sources;
use super::answer::Failure;
use crate::im::{Id, why_not};
use crate::proto::http::parse_query;

/// All parameters of a request by name. Of the same name in several places, the path's holds, then the query's.
#[derive(Clone, Debug, Default)]
pub struct Params(Map<String, Value>);

impl Params {
    /// All of them as a value; those that it doesn't know are ignored.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        T::deserialize(Value::Object(self.0.clone()))
            .map_err(|_| Failure::new("invalid_parameter", why_not::<T>(self.0.clone())))
    }

    /// One of them.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, Failure> {
        let value = self.0.get(name).cloned().unwrap_or(Value::Null);
        let is_missing = value.is_null();
        T::deserialize(value).map_err(|error| {
            let message = if is_missing { format!("{name} is missing") } else { format!("{name}: {error}") };
            Failure::new("invalid_parameter", message)
        })
    }

    /// The first of these that is there.
    pub fn first_of<T: DeserializeOwned>(&self, names: &[&str]) -> Result<Option<T>, Failure> {
        let found = names.iter().find(|name| self.0.get(**name).is_some_and(|value| !value.is_null()));
        found.map(|name| self.get(name)).transpose()
    }

    /// A name that stands there several times has a list of values, as one that is written with commas.
    fn add_query(&mut self, query: &str) {
        let mut values = Map::new();
        for (name, value) in parse_query(query) {
            match values.get_mut(&*name) {
                Some(Value::String(list)) => {
                    list.push(',');
                    list.push_str(&value);
                }
                _ => _ = values.insert(name.into_owned(), Value::String(value.into_owned())),
            }
        }
        self.0.extend(values);
    }

    fn add_body(&mut self, form: Form, body: &Bytes, bare: Option<&str>) -> Result<(), Failure> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        match form {
            Form::Json => self.add_json(body, bare),
            Form::Query => {
                self.add_query(&String::from_utf8_lossy(body));
                Ok(())
            }
            Form::Other => {
                let message = "the body must be application/json or application/x-www-form-urlencoded";
                Err(Failure::new("unsupported_media_type", message))
            }
        }
    }

    fn add_json(&mut self, body: &Bytes, bare: Option<&str>) -> Result<(), Failure> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => self.0.extend(object),
            Ok(array @ Value::Array(_)) if bare.is_some() => {
                self.0.extend(bare.map(|name| (name.to_owned(), array)));
            }
            Ok(_) => return Err(Failure::new("invalid_body", "the body must be a JSON object")),
            Err(error) => return Err(Failure::new("invalid_body", format!("the body is not JSON: {error}"))),
        }
        Ok(())
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Query,
    Other,
}

impl Form {
    /// As the Content-Type says. Without one it is JSON.
    fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Form::Json };
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/json" => Form::Json,
            "application/x-www-form-urlencoded" => Form::Query,
            _ => Form::Other,
        }
    }
}

impl FromRequest<Sources> for Params {
    type Rejection = Failure;

    async fn from_request(request: Request, sources: &Sources) -> Result<Self, Failure> {
        Params::read(request, sources, None).await
    }
}

/// As [`Params`], of a request whose body may be a bare list: the `messageIds`.
pub struct Listed(pub Params);

impl FromRequest<Sources> for Listed {
    type Rejection = Failure;

    async fn from_request(request: Request, sources: &Sources) -> Result<Self, Failure> {
        Params::read(request, sources, Some("messageIds")).await.map(Listed)
    }
}

impl Params {
    /// Reads a request. `bare`: the name of a body that is a list.
    async fn read(request: Request, sources: &Sources, bare: Option<&str>) -> Result<Self, Failure> {
        let (mut head, body) = request.into_parts();
        let path = RawPathParams::from_request_parts(&mut head, sources).await.ok();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let form = Form::of(&head.headers);
        let body = Bytes::from_request(Request::from_parts(head, body), sources);
        let body = match timeout(sources.config.limits.head_timeout, body).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(Failure::new("body_too_large", "the body is larger than is allowed"));
            }
            Ok(Err(error)) => return Err(Failure::new("invalid_body", error.to_string())),
            Err(_) => return Err(Failure::new("request_timeout", "the body takes too long to arrive")),
        };
        let mut params = Params::default();
        params.add_body(form, &body, bare)?;
        params.add_query(&query);
        for (name, value) in path.iter().flatten() {
            params.0.insert(name.to_owned(), Value::String(value.to_owned()));
        }
        Ok(params)
    }
}

/// `true` or `false`, also as text, where `1` and `0` will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match (value.as_bool(), value.as_str()) {
            (Some(flag), _) => Ok(Flag(flag)),
            (_, Some("true" | "1")) => Ok(Flag(true)),
            (_, Some("false" | "0")) => Ok(Flag(false)),
            _ => Err(D::Error::custom("true or false is needed")),
        }
    }
}

/// A list, also as text with commas, or as the only one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = match Value::deserialize(deserializer)? {
            Value::Array(items) => items,
            Value::String(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                items.map(|item| Value::String(item.to_owned())).collect()
            }
            one => vec![one],
        };
        items.into_iter().map(T::deserialize).collect::<Result<_, _>>().map(List).map_err(D::Error::custom)
    }
}

/// A list of ids, as numbers.
pub fn ids(list: List<Id>) -> Vec<u64> {
    list.0.into_iter().map(|Id(id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::im::Number;

    fn params(query: &str, body: &str) -> Params {
        let mut params = Params::default();
        params.add_body(Form::Json, &Bytes::copy_from_slice(body.as_bytes()), Some("messageIds")).unwrap();
        params.add_query(query);
        params
    }

    #[test]
    fn a_parameter_may_stand_anywhere() {
        for (query, body) in [
            ("groupId=7&public=true", ""),
            ("", r#"{"groupId":7,"public":true}"#),
            ("groupId=7", r#"{"groupId":1,"public":"1"}"#),
            ("public=1", r#"{"groupId":7.0}"#),
        ] {
            let params = params(query, body);
            assert_eq!(params.get::<Id>("groupId").unwrap().0, 7, "{query} {body}");
            assert_eq!(params.get::<Flag>("public").unwrap(), Flag(true), "{query} {body}");
        }
    }

    #[test]
    fn lists_are_written_in_several_ways() {
        for (query, body) in [
            ("messageIds=1,2", ""),
            ("messageIds=1&messageIds=2", ""),
            ("messageIds=1&other=x&messageIds=2", "[3]"),
            ("", "[1,2]"),
            ("", r#"{"messageIds":["1",2]}"#),
        ] {
            assert_eq!(ids(params(query, body).get("messageIds").unwrap()), [1, 2], "{query} {body}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let params = params("page=x", "");
        assert!(params.get::<Number>("page").unwrap_err().to_string().contains("page"));
        assert!(params.get::<Number>("size").unwrap_err().to_string().contains("size is missing"));
        assert!(Params::default().add_body(Form::Json, &Bytes::from_static(b"{"), None).is_err());
    }
}
