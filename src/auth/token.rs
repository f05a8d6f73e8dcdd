//! Tokens: JSON Web Tokens (RFC 7519) with a signature (RFC 7515) of HS256, RS256 or EdDSA.
//!
//! Who verifies a token learns whose it is, until when, and whether it carries the right to act for the
//! operator. Time comes in from outside, so tests need no sleep. Keys can be exchanged while tokens are verified.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keys::{KeyError, KeyRing};
use super::{is_user_id, parse_user_id};
use crate::timestamp::Timestamp;

/// A longer token is refused before it is looked at.
pub const MAX_TOKEN_BYTES: usize = 8 << 10;

/// What tokens are accepted, and how they are issued.
#[derive(Clone, Default)]
pub struct TokenOptions {
    /// Key of HS256 tokens that name no other one; empty for none.
    pub secret: String,
    /// Further keys, each written as a [`KeySpec`](super::KeySpec).
    pub keys: Vec<String>,
    /// Name of the key that signs; empty for `secret`, or without it the first that can.
    pub issue_key: String,
    /// Whether a token must say when it expires.
    pub require_exp: bool,
    /// How far the clocks of issuers may be off.
    pub leeway: Duration,
    /// The issuers (`iss`) whose tokens are accepted; empty for all. The first is named in tokens issued here.
    pub issuers: Vec<String>,
    /// The audience (`aud`) that a token must name, and that tokens issued here name; empty for none.
    pub audience: String,
}

/// What a valid token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whose it is: 1 to 2^53-1.
    pub user: u64,
    /// From when on it is not accepted any more, leeway included; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// Whether it carries the operator's rights, such as to broadcast to everybody.
    pub admin: bool,
}

/// Why a token is refused. The text is for the client's developer, and tells nothing of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("a token is needed")]
    Missing,
    /// It is no token, or its claims are not of their types.
    #[error("the token is no JSON Web Token that is signed with HS256, RS256 or EdDSA")]
    Malformed,
    /// It is longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// No key of that algorithm and, if it names one, of that name.
    #[error("the token is signed with a key that is not known here")]
    UnknownKey,
    /// It was not signed with the key, or changed afterwards.
    #[error("the token's signature is wrong")]
    Signature,
    /// Its header demands (`crit`) what is not understood here.
    #[error("the token demands an extension that is not known here")]
    Critical,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It is for later, or was issued in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It never expires, and that is not allowed.
    #[error("the token has no exp claim")]
    NoExpiry,
    /// It is from another issuer.
    #[error("the token is of an issuer that is not accepted here")]
    Issuer,
    /// It is for another service.
    #[error("the token is for another audience")]
    Audience,
    /// It names no user, or two.
    #[error("the token's sub or userId must be an integer from 1 to 2^53-1, and if both are, the same")]
    User,
}

impl TokenError {
    /// The machine-readable code that clients see.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Malformed | Self::TooLong => "token_malformed",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::UnknownKey
            | Self::Signature
            | Self::Critical
            | Self::NoExpiry
            | Self::Issuer
            | Self::Audience
            | Self::User => "token_invalid",
        }
    }
}

/// Why no token is issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// There is no key that can sign.
    #[error(
        "no key here can sign tokens: set auth.jwt_secret, or give auth.jwt_keys an HS256 or private EdDSA key"
    )]
    NoKey,
    /// The key does not work.
    #[error("the token can't be signed: {0}")]
    Signing(String),
}

/// A token that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// When it expires, to the second.
    pub expires_at: Timestamp,
}

/// Verifies tokens and issues them. Its methods may be called from any thread.
pub struct Tokens {
    options: TokenOptions,
    keys: RwLock<Arc<KeyRing>>,
}

impl Tokens {
    /// Reads the keys. Blocks on their files.
    ///
    /// # Errors
    /// A key can't be read or used.
    pub fn load(options: TokenOptions) -> Result<Self, KeyError> {
        let keys = RwLock::new(Arc::new(read_keys(&options)?));
        Ok(Self { options, keys })
    }

    /// Reads the keys again, from the same files, and returns how many there are. From then on they hold, all at
    /// once; what is being verified right now still goes by the old ones. Blocks on their files.
    ///
    /// # Errors
    /// A key can't be read or used. Then the old ones stay, all of them.
    pub fn reload(&self) -> Result<usize, KeyError> {
        let keys = read_keys(&self.options)?;
        let count = keys.len();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(count)
    }

    /// The files that [`Tokens::reload`] reads.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.options.keys.iter().filter_map(|text| text.parse().ok()).map(|spec: super::KeySpec| spec.path)
    }

    /// Whose a token is.
    ///
    /// # Errors
    /// It is refused, for the first reason in this order: its form, its key, its signature, its times, its issuer and
    /// audience, its user.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Identity, TokenError> {
        match token.len() {
            0 => return Err(TokenError::Missing),
            1..=MAX_TOKEN_BYTES => (),
            _ => return Err(TokenError::TooLong),
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let keys = self.keys();
        let mut refusal = TokenError::UnknownKey;
        for key in keys.candidates(header.alg, header.kid.as_deref()) {
            match decode::<Claims>(token, &key.verifying, &key.validation) {
                Ok(signed) => return self.admit(signed.claims, now),
                Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {
                    refusal = TokenError::Signature;
                }
                Err(_) => return Err(TokenError::Malformed),
            }
        }
        Err(refusal)
    }

    /// Issues a token for a user, 1 to 2^53-1, that is valid from now for `ttl`, to the second.
    ///
    /// # Errors
    /// There is no key that can sign.
    pub fn issue(&self, user: u64, admin: bool, ttl: Duration, now: Timestamp) -> Result<Issued, IssueError> {
        let keys = self.keys();
        let (key, signing) = keys.signing().ok_or(IssueError::NoKey)?;
        let expires_at = later(now, ttl).unix_ms().div_euclid(1000);
        let claims = IssuedClaims {
            sub: user.to_string(),
            iat: now.unix_ms().div_euclid(1000),
            exp: expires_at,
            iss: self.options.issuers.first().map(String::as_str),
            aud: Some(self.options.audience.as_str()).filter(|audience| !audience.is_empty()),
            admin,
        };
        let header = Header { kid: key.kid.clone(), ..Header::new(key.algorithm) };
        let token =
            encode(&header, &claims, signing).map_err(|error| IssueError::Signing(error.to_string()))?;
        Ok(Issued { token, expires_at: Timestamp::from_unix_ms(expires_at.saturating_mul(1000)) })
    }

    fn keys(&self) -> Arc<KeyRing> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes by the claims of a token whose signature is right.
    fn admit(&self, claims: Claims, now: Timestamp) -> Result<Identity, TokenError> {
        let TokenOptions { leeway, issuers, audience, require_exp, .. } = &self.options;
        let expires_at = claims.exp.map(|exp| later(moment(exp), *leeway));
        let latest_start = later(now, *leeway);
        if expires_at.is_none() && *require_exp {
            return Err(TokenError::NoExpiry);
        }
        if expires_at.is_some_and(|end| end <= now) {
            return Err(TokenError::Expired);
        }
        if [claims.nbf, claims.iat].into_iter().flatten().any(|start| moment(start) > latest_start) {
            return Err(TokenError::NotYetValid);
        }
        if !issuers.is_empty() && !claims.iss.is_some_and(|iss| issuers.contains(&iss)) {
            return Err(TokenError::Issuer);
        }
        if !audience.is_empty() && !claims.aud.is_some_and(|aud| aud.contains(audience)) {
            return Err(TokenError::Audience);
        }
        let user = match (claims.user_id.as_ref().map(user_id), claims.sub.as_ref().and_then(user_id)) {
            (None, Some(user)) => user,
            // Many an issuer writes a name into `sub` and the number beside it.
            (Some(Some(user)), sub) if sub.is_none_or(|sub| sub == user) => user,
            _ => return Err(TokenError::User),
        };
        Ok(Identity { user, expires_at, admin: claims.admin == Some(Value::Bool(true)) })
    }
}

fn read_keys(options: &TokenOptions) -> Result<KeyRing, KeyError> {
    KeyRing::read(&options.secret, &options.keys, &options.issue_key)
}

/// What is read of a token's claims. Others are ignored; one of these that stands there twice makes it malformed.
#[derive(Deserialize)]
struct Claims {
    sub: Option<Value>,
    #[serde(rename = "userId")]
    user_id: Option<Value>,
    /// Seconds since 1970, perhaps with a fraction (RFC 7519, section 2, NumericDate).
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
    admin: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

#[derive(Serialize)]
struct IssuedClaims<'a> {
    sub: String,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    admin: bool,
}

/// A user id as a JSON integer, or a string of digits.
fn user_id(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().filter(|id| is_user_id(*id)),
        Value::String(text) => parse_user_id(text),
        _ => None,
    }
}

/// From seconds since 1970. What is beyond the years 0 to 9999 is their beginning or end.
fn moment(seconds: f64) -> Timestamp {
    Timestamp::from_unix_ms((seconds * 1000.0) as i64)
}

fn later(moment: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_ms(moment.unix_ms().saturating_add(by))
}

#[cfg(test)]
mod tests;
