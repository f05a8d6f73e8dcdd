//! Who a connection or a request belongs to (SPEC, section 3): whom a token names, or, in open mode, for development,
//! whoever is said.

use std::num::NonZeroU64;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use crate::auth::{TokenError, Tokens, bearer, parse_user_id};
use crate::socketio::{Refused, Socket};
use crate::store::{MAX_ID, Timestamp};

/// A user whose identity is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User(NonZeroU64);

impl User {
    /// The user that a connection belongs to.
    pub(super) fn of(socket: &Socket) -> Option<User> {
        socket.extensions().get::<User>().as_deref().copied()
    }

    /// The user of this id, 1 to 2^53-1.
    pub fn new(id: u64) -> Option<User> {
        NonZeroU64::new(id).filter(|id| id.get() <= MAX_ID).map(User)
    }

    /// The number.
    pub fn id(self) -> u64 {
        self.0.get()
    }
}

/// What is known of somebody who has shown who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who it is.
    pub user: User,
    /// Until when that is believed; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// Whether it may operate the cluster.
    pub admin: bool,
}

/// How somebody shows who it is.
#[derive(Clone)]
pub enum Identities {
    /// By saying so.
    Open,
    /// By a token.
    Tokens(Arc<Tokens>),
}

impl Identities {
    /// Whose a token is.
    ///
    /// # Errors
    /// It is refused, or none is needed: in open mode nobody is who a token says.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let Identities::Tokens(tokens) = self else { return Err(TokenError::Missing) };
        let identity = tokens.verify(token, Timestamp::now())?;
        let user = User::new(identity.user).ok_or(TokenError::Malformed)?;
        Ok(Identity { user, expires_at: identity.expires_at, admin: identity.admin })
    }

    /// Whose a connection is.
    pub(super) fn of(&self, socket: &Socket) -> Result<Identity, Refused> {
        let claimed = socket.handshake().query("userId");
        if let Identities::Open = self {
            let user = claimed.as_deref().and_then(parse_user_id).and_then(User::new);
            return match user {
                Some(user) => Ok(Identity { user, expires_at: None, admin: false }),
                None => {
                    Err(refused("invalid_user_id", format!("?userId= must be an integer from 1 to {MAX_ID}")))
                }
            };
        }
        let identity = self
            .verify(&token(socket).unwrap_or_default())
            .map_err(|error| refused(error.code(), error.to_string()))?;
        let is_contradicted = claimed.is_some_and(|claimed| claimed.parse() != Ok(identity.user.id()));
        if is_contradicted {
            return Err(refused("user_mismatch", "?userId= is not the user of the token"));
        }
        Ok(identity)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    token: Option<String>,
}

/// The token of a connection, from the first place that has one: `auth.token`, the header, the query.
fn token(socket: &Socket) -> Option<String> {
    let handshake = socket.handshake();
    let in_auth = handshake.auth::<Auth>().unwrap_or_default().token.filter(|token| !token.is_empty());
    in_auth
        .or_else(|| bearer(handshake.header("authorization")?).map(str::to_owned))
        .or_else(|| handshake.query("token"))
}

fn refused(code: &str, message: impl Into<String>) -> Refused {
    Refused::new(message).with_data(json!({ "code": code }))
}
