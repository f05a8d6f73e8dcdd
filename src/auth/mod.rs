//! Who somebody is, and how that is shown: signed tokens, and passwords.
//!
//! [`Tokens`] checks tokens (JSON Web Tokens, RFC 7519) of this cluster and of the integrator's own issuers, and issues
//! those that a login gives out. [`Passwords`] hashes and verifies passwords without stalling the threads that
//! serve connections.
//!
//! Promises: a key works with the one algorithm that it was configured for, whatever a token's header says; nothing
//! that a client sends panics, or is paid for with more than one signature check per key; no secret is ever part of an
//! error or of debug output. Never looks into a store, and never decides what a user may do.

mod keys;
mod password;
mod token;

pub use keys::{Algorithm, KeyError, KeySpec, MIN_SECRET_BYTES, ParseKeySpecError};
pub use password::{PasswordError, PasswordOptions, Passwords};
pub use token::{Identity, IssueError, Issued, MAX_TOKEN_BYTES, TokenError, TokenOptions, Tokens};

use crate::ids::MAX_ID;

/// A user id from decimal digits: 1 to 2^53-1.
pub fn parse_user_id(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|id| is_user_id(*id))
}

/// The token in the value of an `Authorization` header: `Bearer`, in any case, and the token (RFC 6750, section 2.1).
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    Some(token.trim_start()).filter(|_| scheme.eq_ignore_ascii_case("bearer"))
}

fn is_user_id(id: u64) -> bool {
    (1..=MAX_ID).contains(&id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_is_a_number_that_javascript_can_count() {
        for (text, id) in [("1", 1), ("9007199254740991", MAX_ID), ("007", 7)] {
            assert_eq!(parse_user_id(text), Some(id), "{text}");
        }
        for text in
            ["", "0", "-1", "+1", "1.5", "1e3", " 1", "1 ", "9007199254740992", "99999999999999999999", "١"]
        {
            assert_eq!(parse_user_id(text), None, "{text}");
        }
    }

    #[test]
    fn bearer_tokens_are_found() {
        for (header, token) in [
            ("Bearer a.b.c", Some("a.b.c")),
            ("bearer a.b.c", Some("a.b.c")),
            ("BEARER   a.b.c ", Some("a.b.c")),
            ("Basic YTpi", None),
            ("Bearer", None),
            ("Bearera.b.c", None),
            ("", None),
        ] {
            assert_eq!(bearer(header), token, "{header:?}");
        }
    }
}
