//! Who asks.

use axum::http::{HeaderMap, header};

use super::Sources;
use super::answer::Failure;
use super::params::Params;
use crate::auth::bearer;
use crate::im::{Id, Identities, Identity, Refusal, User};

/// Where open mode finds the actor, the first that is there (SPEC, section 5: the Java sample's names).
const NAMES: [&str; 4] = ["operatorId", "ownerId", "fromUserId", "userId"];

/// The code for a request that names nobody.
pub const NOBODY: &str = "unauthenticated";

/// The user who asks: whom the token names, or, in open mode, whom a parameter names.
pub fn of(sources: &Sources, headers: &HeaderMap, params: &Params) -> Result<User, Failure> {
    match &sources.identities {
        Identities::Open => params
            .first_of::<Id>(&NAMES)?
            .and_then(|Id(id)| User::new(id))
            .ok_or_else(|| Failure::new(NOBODY, format!("one of {} is needed", NAMES.join(", ")))),
        Identities::Tokens(_) => Ok(identity(sources, headers)?.user),
    }
}

/// As [`of`]; in open mode, where nothing else says who asks, it is this user.
pub fn of_or(sources: &Sources, headers: &HeaderMap, params: &Params, user: u64) -> Result<User, Failure> {
    match of(sources, headers, params) {
        Err(failure) if sources.is_open() && failure.code() == NOBODY => {
            User::new(user).ok_or_else(|| Failure::new("invalid_parameter", "this is no user's id"))
        }
        actor => actor,
    }
}

/// Refuses who has no token, where tokens are wanted.
pub fn require_token(sources: &Sources, headers: &HeaderMap) -> Result<(), Failure> {
    if sources.is_open() { Ok(()) } else { identity(sources, headers).map(drop) }
}

/// What the token of a request says.
pub fn identity(sources: &Sources, headers: &HeaderMap) -> Result<Identity, Failure> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(bearer).unwrap_or_default();
    let verified = sources.identities.verify(token);
    verified.map_err(|error| Refusal::new(error.code(), error.to_string()).into())
}
