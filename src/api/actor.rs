//! Who asks.

use super::Sources;
use super::answer::Failure;
use super::params::Params;
use crate::config::AuthMode;
use crate::im::{Id, User};

/// Where open mode finds the actor, the first that is there (SPEC, section 5: the Java sample's names).
const NAMES: [&str; 4] = ["operatorId", "ownerId", "fromUserId", "userId"];

/// The user who asks: in open mode whoever a parameter names.
pub fn of(sources: &Sources, params: &Params) -> Result<User, Failure> {
    match sources.config.auth.mode {
        AuthMode::Open => params
            .first_of::<Id>(&NAMES)?
            .and_then(|Id(id)| User::new(id))
            .ok_or_else(|| Failure::new("unauthenticated", format!("one of {} is needed", NAMES.join(", ")))),
        AuthMode::Jwt => Err(Failure::new("unauthenticated", "a token is needed")),
    }
}
