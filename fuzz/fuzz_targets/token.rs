//! Tokens: no panic, whatever stands in them; none is accepted that was not signed; and one that was says what its claims say.
//!
//! An input of one line is a token. One of two lines is a header and claims, to be signed with the verifier's own secret.
#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio_socketio::auth::{TokenOptions, Tokens};
use tokio_socketio::ids::MAX_ID;
use tokio_socketio::timestamp::Timestamp;

const SECRET: &str = "the secret of the fuzzer, 32 bytes";

fn tokens() -> &'static Tokens {
    static TOKENS: OnceLock<Tokens> = OnceLock::new();
    TOKENS.get_or_init(|| {
        let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/keys");
        Tokens::load(TokenOptions {
            secret: SECRET.into(),
            keys: vec![
                format!("rsa=RS256:{keys}/rsa-public.pem"),
                format!("ed=EdDSA:{keys}/rfc8037-a-public.pem"),
            ],
            require_exp: true,
            leeway: Duration::from_secs(30),
            ..TokenOptions::default()
        })
        .expect("the test keys are there")
    })
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // 2026-10-01T00:00:00Z
    let now = Timestamp::from_unix_ms(1_790_812_800_000);
    let Some((header, claims)) = text.split_once('\n') else {
        assert!(tokens().verify(text, now).is_err(), "accepted without a signature");
        return;
    };
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("HS256 can sign");
    let Ok(identity) = tokens().verify(&format!("{message}.{signature}"), now) else { return };

    let header: Value = serde_json::from_str(header).expect("an accepted header is JSON");
    assert!(header["alg"] == "HS256" && header["kid"].is_null() && header["crit"].is_null());
    let claims: Value = serde_json::from_str(claims).expect("accepted claims are JSON");
    assert!((1..=MAX_ID).contains(&identity.user));
    let names = |claim: &Value| match claim {
        Value::String(text) => text.parse() == Ok(identity.user),
        other => other.as_u64() == Some(identity.user),
    };
    assert!(names(&claims["userId"]) || claims["userId"].is_null() && names(&claims["sub"]));
    assert_eq!(identity.admin, claims["admin"] == true);
    assert!(identity.expires_at.is_some_and(|end| end > now));
});
