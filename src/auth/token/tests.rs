//! Tokens against the examples of the RFCs, against attacks on them, and on a time of their own.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const SECRET: &str = "a secret of tests, 32 bytes long";
/// 2026-10-01T00:00:00Z, in seconds.
const NOW: i64 = 1_790_812_800;
const LEEWAY: Duration = Duration::from_secs(30);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(seconds * 1000)
}

fn file(name: &str) -> String {
    format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn key(kid: &str, algorithm: &str, name: &str) -> String {
    format!("{kid}={algorithm}:{}", file(name))
}

fn options() -> TokenOptions {
    TokenOptions {
        secret: SECRET.into(),
        require_exp: true,
        leeway: LEEWAY,
        keys: vec![
            key("rsa", "RS256", "rsa-public.pem"),
            key("ed", "EdDSA", "ed25519-private.pem"),
            key("hs", "HS256", "rfc7515-a1.secret"),
        ],
        ..TokenOptions::default()
    }
}

fn tokens() -> Tokens {
    load(options())
}

fn load(options: TokenOptions) -> Tokens {
    Tokens::load(options).unwrap_or_else(|error| panic!("{error}"))
}

fn refused_keys(keys: &[String], issue_key: &str) -> String {
    let options = TokenOptions { keys: keys.to_vec(), issue_key: issue_key.into(), ..options() };
    Tokens::load(options).err().expect("the keys should be refused").to_string()
}

/// A token with any header and claims, signed by someone who has the key.
fn signed(header: &Value, claims: &Value, algorithm: jsonwebtoken::Algorithm, key: &EncodingKey) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).expect("tests can sign");
    format!("{message}.{signature}")
}

/// A token as whoever has the secret makes it.
fn with_claims(claims: &Value) -> String {
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    signed(&header, claims, jsonwebtoken::Algorithm::HS256, &EncodingKey::from_secret(SECRET.as_bytes()))
}

fn with_rsa(header: &Value) -> String {
    let pem = fs::read(file("rsa-private.pem")).unwrap();
    let key = EncodingKey::from_rsa_pem(&pem).unwrap();
    signed(header, &json!({ "sub": "42", "exp": NOW + 60 }), jsonwebtoken::Algorithm::RS256, &key)
}

fn verify(claims: &Value) -> Result<Identity, TokenError> {
    tokens().verify(&with_claims(claims), at(NOW))
}

#[test]
fn what_is_issued_is_verified_until_it_expires() {
    for (issue_key, kid) in [("", None), ("ed", Some("ed")), ("hs", Some("hs"))] {
        let tokens = load(TokenOptions { issue_key: issue_key.into(), ..options() });
        for admin in [false, true] {
            let issued = tokens.issue(42, admin, Duration::from_secs(3600), at(NOW)).unwrap();
            assert_eq!(issued.expires_at, at(NOW + 3600));
            assert_eq!(decode_header(&issued.token).unwrap().kid.as_deref(), kid);
            let identity = Identity { user: 42, expires_at: Some(at(NOW + 3630)), admin };
            assert_eq!(tokens.verify(&issued.token, at(NOW)), Ok(identity));
            let last_moment = Timestamp::from_unix_ms((NOW + 3630) * 1000 - 1);
            assert_eq!(tokens.verify(&issued.token, last_moment), Ok(identity));
            assert_eq!(tokens.verify(&issued.token, at(NOW + 3630)), Err(TokenError::Expired));
        }
    }
}

#[test]
fn examples_of_the_rfcs_verify() {
    // RFC 7515, appendix A.1 (and RFC 7519, section 3.1), A.2; RFC 8037, appendix A.4.
    const CLAIMS: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let hs256 = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let rs256 = format!(
        "eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.\
         cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujG\
         bds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K\
         0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6\
         LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    let eddsa = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
                 hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        .to_owned();
    let tokens = load(TokenOptions {
        secret: String::new(),
        keys: vec![
            key("a1", "HS256", "rfc7515-a1.secret"),
            key("a2", "RS256", "rfc7515-a2-public.pem"),
            key("a", "EdDSA", "rfc8037-a-public.pem"),
        ],
        ..options()
    });
    // Past the signature they are refused for what they say: they name no user, and the last is no JSON.
    for (example, refusal) in
        [(hs256, TokenError::User), (rs256, TokenError::User), (eddsa, TokenError::Malformed)]
    {
        assert_eq!(tokens.verify(&example, at(1_300_819_000)), Err(refusal), "{example}");
        if refusal == TokenError::User {
            assert_eq!(tokens.verify(&example, at(1_300_819_380 + 30)), Err(TokenError::Expired));
        }
        let (message, signature) = example.rsplit_once('.').unwrap();
        let other = if signature.starts_with('c') { "d" } else { "c" };
        let forged = format!("{message}.{other}{}", &signature[1..]);
        assert_eq!(tokens.verify(&forged, at(1_300_819_000)), Err(TokenError::Signature), "{forged}");
    }
    // RFC 7519, section 6.1: an unsecured token.
    let unsecured = format!("eyJhbGciOiJub25lIn0.{CLAIMS}.");
    assert_eq!(tokens.verify(&unsecured, at(1_300_819_000)), Err(TokenError::Malformed));
}

#[test]
fn no_algorithm_but_the_keys_own() {
    let tokens = tokens();
    let claims = json!({ "sub": "42", "exp": NOW + 60 });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "NONE", "", "hs256"] {
        for signature in ["", "AAAA"] {
            let token = format!("{}.{}.{signature}", part(&json!({ "alg": alg })), part(&claims));
            assert_eq!(tokens.verify(&token, at(NOW)), Err(TokenError::Malformed), "{alg:?}");
        }
    }
    // The secret is there for HS256, and for no other hash.
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let token = signed(&json!({ "alg": "HS384" }), &claims, jsonwebtoken::Algorithm::HS384, &secret);
    assert_eq!(tokens.verify(&token, at(NOW)), Err(TokenError::UnknownKey));
}

#[test]
fn a_public_key_is_no_secret() {
    // The attack on verifiers that let the token choose the algorithm: HS256, with the RSA public key as the secret.
    let pem = fs::read(file("rsa-public.pem")).unwrap();
    let der = jsonwebtoken::DecodingKey::from_rsa_pem(&pem).unwrap().try_get_as_bytes().unwrap().to_vec();
    let trimmed = pem.trim_ascii_end().to_vec();
    let claims = json!({ "sub": "42", "exp": NOW + 60 });
    for secret in [pem, trimmed, der] {
        let key = EncodingKey::from_secret(&secret);
        for (kid, refusal) in [(Some("rsa"), TokenError::UnknownKey), (None, TokenError::Signature)] {
            let mut header = json!({ "alg": "HS256" });
            if let Some(kid) = kid {
                header["kid"] = kid.into();
            }
            let token = signed(&header, &claims, jsonwebtoken::Algorithm::HS256, &key);
            assert_eq!(tokens().verify(&token, at(NOW)), Err(refusal));
        }
    }
    let text = refused_keys(&[key("x", "HS256", "rsa-public.pem")], "");
    assert!(text.contains("no PEM"), "{text}");
}

#[test]
fn a_token_that_names_a_key_is_checked_with_that_one_alone() {
    let tokens = tokens();
    assert!(tokens.verify(&with_rsa(&json!({ "alg": "RS256" })), at(NOW)).is_ok(), "without a name");
    assert!(tokens.verify(&with_rsa(&json!({ "alg": "RS256", "kid": "rsa" })), at(NOW)).is_ok());
    for kid in ["ed", "hs", "", "RSA", "rsa ", "../rsa", "nobody"] {
        let token = with_rsa(&json!({ "alg": "RS256", "kid": kid }));
        assert_eq!(tokens.verify(&token, at(NOW)), Err(TokenError::UnknownKey), "{kid:?}");
    }
    // Signed with the secret, which has no name, but naming another secret.
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let claims = json!({ "sub": "42", "exp": NOW + 60 });
    let token =
        signed(&json!({ "alg": "HS256", "kid": "hs" }), &claims, jsonwebtoken::Algorithm::HS256, &secret);
    assert_eq!(tokens.verify(&token, at(NOW)), Err(TokenError::Signature));
}

#[test]
fn keys_that_a_token_brings_along_are_not_used() {
    // CVE-2018-0114: the header holds the key that the token is signed with.
    let jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode("x".repeat(32)) });
    let key = EncodingKey::from_secret("x".repeat(32).as_bytes());
    let header = json!({ "alg": "HS256", "jwk": jwk, "jku": "https://attacker.example/keys" });
    let token =
        signed(&header, &json!({ "sub": "42", "exp": NOW + 60 }), jsonwebtoken::Algorithm::HS256, &key);
    assert_eq!(tokens().verify(&token, at(NOW)), Err(TokenError::Signature));
}

#[test]
fn demands_that_are_not_understood_are_refused() {
    let header = json!({ "alg": "RS256", "crit": ["b64"], "b64": false });
    assert_eq!(tokens().verify(&with_rsa(&header), at(NOW)), Err(TokenError::Critical));
}

#[test]
fn what_is_no_token_is_malformed() {
    let tokens = tokens();
    let good = with_claims(&json!({ "sub": "42", "exp": NOW + 60 }));
    assert!(tokens.verify(&good, at(NOW)).is_ok());
    assert_eq!(tokens.verify("", at(NOW)), Err(TokenError::Missing));
    let mut bad: Vec<String> =
        [".", "..", "...", "a", "a.b", "a.b.c", "null", "{}", "é.é.é"].map(str::to_owned).to_vec();
    bad.extend([
        format!(" {good}"),
        format!("{good} "),
        format!("{good}="),
        format!("{good}.x"),
        format!("x.{good}"),
        format!("Bearer {good}"),
    ]);
    for token in bad {
        assert_eq!(tokens.verify(&token, at(NOW)), Err(TokenError::Malformed), "{token:?}");
    }
    for claims in [json!(null), json!([]), json!("42"), json!(42)] {
        assert_eq!(verify(&claims), Err(TokenError::Malformed), "{claims}");
    }
}

#[test]
fn a_huge_token_is_refused_before_it_is_looked_at() {
    let of_length = |length: usize| {
        let mut claims = json!({ "sub": "42", "exp": NOW + 60, "pad": "" });
        let mut token = with_claims(&claims);
        while token.len() < length {
            // Three bytes make four characters.
            let missing = ((length - token.len()) * 3 / 4).max(1);
            claims["pad"] = format!("{}{}", claims["pad"].as_str().unwrap(), "x".repeat(missing)).into();
            token = with_claims(&claims);
        }
        token
    };
    let tokens = tokens();
    let longest = of_length(MAX_TOKEN_BYTES - 4);
    assert!(longest.len() <= MAX_TOKEN_BYTES, "{}", longest.len());
    assert!(tokens.verify(&longest, at(NOW)).is_ok());
    let longer = of_length(MAX_TOKEN_BYTES + 1);
    assert_eq!(tokens.verify(&longer, at(NOW)), Err(TokenError::TooLong));
    assert_eq!(tokens.verify(&"a".repeat(1 << 20), at(NOW)), Err(TokenError::TooLong));
}

#[test]
fn times_have_a_leeway() {
    let sub = |mut claims: Value| {
        claims["sub"] = "42".into();
        verify(&claims)
    };
    let expires = |exp: Value| sub(json!({ "exp": exp }));
    assert_eq!(expires(json!(NOW - 30)), Err(TokenError::Expired));
    assert_eq!(expires(json!(NOW - 29)).unwrap().expires_at, Some(at(NOW + 1)));
    assert!(expires(json!(NOW as f64 - 29.5)).is_ok(), "a fraction is allowed");
    assert_eq!(expires(json!(-1)), Err(TokenError::Expired));
    assert_eq!(expires(json!(0)), Err(TokenError::Expired));
    assert_eq!(expires(json!(1e300)).unwrap().expires_at, Some(Timestamp::from_unix_ms(i64::MAX)));
    assert_eq!(expires(json!("1790812860")), Err(TokenError::Malformed));
    assert_eq!(expires(json!(true)), Err(TokenError::Malformed));

    for claim in ["nbf", "iat"] {
        let starts = |start: i64| sub(json!({ "exp": NOW + 600, claim: start }));
        assert!(starts(NOW + 30).is_ok());
        assert_eq!(starts(NOW + 31), Err(TokenError::NotYetValid), "{claim}");
    }
    assert_eq!(expires(Value::Null), Err(TokenError::NoExpiry));
    assert_eq!(sub(json!({})), Err(TokenError::NoExpiry));
    let lasting = load(TokenOptions { require_exp: false, ..options() });
    let identity = Identity { user: 42, expires_at: None, admin: false };
    assert_eq!(lasting.verify(&with_claims(&json!({ "sub": "42" })), at(NOW)), Ok(identity));
    assert_eq!(
        lasting.verify(&with_claims(&json!({ "sub": "42", "exp": 1 })), at(NOW)),
        Err(TokenError::Expired)
    );
}

#[test]
fn the_user_is_the_subject_or_the_user_id() {
    let user = |mut claims: Value| {
        claims["exp"] = (NOW + 60).into();
        verify(&claims).map(|identity| identity.user)
    };
    let max = 9_007_199_254_740_991_u64;
    for claims in [
        json!({ "sub": "42" }),
        json!({ "sub": 42 }),
        json!({ "userId": 42 }),
        json!({ "userId": "42" }),
        json!({ "sub": "42", "userId": 42 }),
        json!({ "sub": "alice", "userId": 42 }),
        json!({ "sub": null, "userId": 42 }),
        json!({ "sub": "42", "userId": null }),
    ] {
        assert_eq!(user(claims.clone()), Ok(42), "{claims}");
    }
    assert_eq!(user(json!({ "sub": max })), Ok(max));
    assert_eq!(user(json!({ "sub": max.to_string() })), Ok(max));
    let bad = [
        json!(0),
        json!("0"),
        json!(-1),
        json!("-1"),
        json!(max + 1),
        json!((max + 1).to_string()),
        json!("18446744073709551616"),
        json!(1e300),
        json!(42.0),
        json!(1.5),
        json!("1.5"),
        json!(" 42"),
        json!("42 "),
        json!("4 2"),
        json!("+42"),
        json!("0x2a"),
        json!("٤٢"),
        json!(""),
        json!("alice"),
        json!(true),
        json!(null),
    ];
    for value in bad {
        assert_eq!(user(json!({ "sub": value })), Err(TokenError::User), "{value}");
        if !value.is_null() {
            let claims = json!({ "sub": "42", "userId": value });
            assert_eq!(user(claims), Err(TokenError::User), "userId {value} beside a good sub");
        }
    }
    assert!(user(json!({ "sub": [42] })).is_err());
    assert!(user(json!({ "userId": { "id": 42 } })).is_err());
    assert_eq!(user(json!({})), Err(TokenError::User));
    assert_eq!(user(json!({ "sub": "43", "userId": 42 })), Err(TokenError::User), "two users");
}

#[test]
fn a_claim_that_stands_there_twice_is_malformed() {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let message = format!(
        "{}.{}",
        part(r#"{"alg":"HS256"}"#),
        part(&format!(r#"{{"sub":"42","sub":"43","exp":{}}}"#, NOW + 60))
    );
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    let verdict = tokens().verify(&format!("{message}.{signature}"), at(NOW));
    assert_eq!(verdict, Err(TokenError::Malformed));
}

#[test]
fn only_true_makes_an_admin() {
    let admin =
        |value: Value| verify(&json!({ "sub": "42", "exp": NOW + 60, "admin": value })).unwrap().admin;
    assert!(admin(json!(true)));
    for value in [json!(false), json!("true"), json!(1), json!(null), json!({}), json!([true])] {
        assert!(!admin(value.clone()), "{value}");
    }
}

#[test]
fn issuer_and_audience_are_demanded_where_they_are_set() {
    let claims = |extra: Value| {
        let mut claims = json!({ "sub": "42", "exp": NOW + 60 });
        claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        with_claims(&claims)
    };
    let anyone = tokens();
    assert!(anyone.verify(&claims(json!({ "iss": "a", "aud": "b" })), at(NOW)).is_ok());

    let issuers = load(TokenOptions { issuers: vec!["us".into(), "partner".into()], ..options() });
    for (iss, verdict) in [(json!("us"), None), (json!("partner"), None), (json!("US"), Some(()))] {
        let refusal = verdict.map(|()| TokenError::Issuer);
        assert_eq!(issuers.verify(&claims(json!({ "iss": iss })), at(NOW)).err(), refusal, "{iss}");
    }
    assert_eq!(issuers.verify(&claims(json!({})), at(NOW)), Err(TokenError::Issuer));
    assert_eq!(issuers.verify(&claims(json!({ "iss": ["us"] })), at(NOW)), Err(TokenError::Malformed));

    let audience = load(TokenOptions { audience: "im".into(), ..options() });
    assert!(audience.verify(&claims(json!({ "aud": "im" })), at(NOW)).is_ok());
    assert!(audience.verify(&claims(json!({ "aud": ["web", "im"] })), at(NOW)).is_ok());
    for extra in [json!({}), json!({ "aud": "web" }), json!({ "aud": [] }), json!({ "aud": ["imp"] })] {
        assert_eq!(audience.verify(&claims(extra.clone()), at(NOW)), Err(TokenError::Audience), "{extra}");
    }
    assert_eq!(audience.verify(&claims(json!({ "aud": 7 })), at(NOW)), Err(TokenError::Malformed));

    let both = load(TokenOptions { issuers: vec!["us".into()], audience: "im".into(), ..options() });
    let own = both.issue(7, false, Duration::from_secs(60), at(NOW)).unwrap();
    assert!(both.verify(&own.token, at(NOW)).is_ok(), "what is issued here is accepted here");
}

#[test]
fn keys_are_exchanged_while_tokens_are_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let other = folder.path().join("other");
    fs::write(&path, "the first secret, 32 bytes long.\n").unwrap();
    fs::write(&other, "the other secret, 32 bytes long.\r\n").unwrap();
    let tokens = load(TokenOptions {
        secret: String::new(),
        keys: vec![format!("new=HS256:{}", path.display()), format!("old=HS256:{}", other.display())],
        ..options()
    });
    assert_eq!(tokens.files().collect::<Vec<_>>(), [path.clone(), other.clone()]);
    let before = tokens.issue(1, false, Duration::from_secs(60), at(NOW)).unwrap().token;
    assert!(tokens.verify(&before, at(NOW)).is_ok());

    fs::write(&path, "too short").unwrap();
    let error = tokens.reload().expect_err("a short secret").to_string();
    assert!(error.contains("new") && error.contains("32 bytes") && !error.contains("too short"), "{error}");
    assert!(tokens.verify(&before, at(NOW)).is_ok(), "a failed reload changes nothing");

    fs::write(&path, "the second secret, 32 bytes long").unwrap();
    assert_eq!(tokens.reload().unwrap(), 2);
    assert_eq!(tokens.verify(&before, at(NOW)), Err(TokenError::Signature));
    let after = tokens.issue(1, false, Duration::from_secs(60), at(NOW)).unwrap().token;
    assert!(tokens.verify(&after, at(NOW)).is_ok());
    fs::remove_file(&path).unwrap();
    assert!(tokens.reload().unwrap_err().to_string().contains("can't read"));
    assert!(tokens.verify(&after, at(NOW)).is_ok());
}

#[test]
fn an_old_secret_goes_on_verifying_under_a_name() {
    // Tokens of auth.jwt_secret name no key, so any key of their algorithm may be theirs.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old");
    fs::write(&path, SECRET).unwrap();
    let old = tokens().issue(1, false, Duration::from_secs(60), at(NOW)).unwrap().token;
    let rotated = load(TokenOptions {
        secret: "the secret that comes after it...".into(),
        keys: vec![format!("old=HS256:{}", path.display())],
        ..options()
    });
    assert!(rotated.verify(&old, at(NOW)).is_ok());
    let new = rotated.issue(1, false, Duration::from_secs(60), at(NOW)).unwrap().token;
    assert!(rotated.verify(&new, at(NOW)).is_ok());
    assert_eq!(tokens().verify(&new, at(NOW)), Err(TokenError::Signature));
}

#[test]
fn what_is_no_key_is_refused_by_name() {
    for (algorithm, name, part) in [
        ("RS256", "rsa-1024-public.pem", "2048"),
        ("RS256", "rsa-private.pem", "RSA public key"),
        ("RS256", "ed25519-public.pem", "RSA public key"),
        ("RS256", "ec-public.pem", "RSA public key"),
        ("RS256", "rfc7515-a1.secret", "RSA public key"),
        ("EdDSA", "rsa-public.pem", "Ed25519"),
        ("EdDSA", "ec-public.pem", "Ed25519"),
        ("EdDSA", "README.md", "Ed25519"),
        ("HS256", "ed25519-private.pem", "no PEM"),
        ("HS256", "missing", "can't read"),
        ("HS256", "", "can't read"),
    ] {
        let text = refused_keys(&[key("bad", algorithm, name)], "");
        assert!(text.contains("key bad") && text.contains(part), "{algorithm} {name}: {text}");
        assert!(!text.contains("-----"), "it shows what is in the file: {text}");
    }
    for text in [
        "",
        "x",
        "x=HS256",
        "x=HS256:",
        "=HS256:f",
        "x=hs256:f",
        "x=HS512:f",
        "x=none:f",
        "a b=HS256:f",
        "é=HS256:f",
    ] {
        assert!(text.parse::<super::super::KeySpec>().is_err(), "{text:?}");
    }
    assert!(format!("{}=HS256:f", "k".repeat(65)).parse::<super::super::KeySpec>().is_err());
    let spec: super::super::KeySpec = "a.b-c_1=EdDSA:C:/keys=1/x:y.pem".parse().unwrap();
    assert_eq!((spec.kid.as_str(), spec.path.to_str()), ("a.b-c_1", Some("C:/keys=1/x:y.pem")));
}

#[test]
fn only_a_key_that_can_sign_issues() {
    for issue_key in ["rsa", "pub", "nobody"] {
        let keys = [key("rsa", "RS256", "rsa-public.pem"), key("pub", "EdDSA", "ed25519-public.pem")];
        let text = refused_keys(&keys, issue_key);
        assert!(text.contains(issue_key) && text.contains("auth.jwt_issue_key"), "{text}");
    }
    let verifier = load(TokenOptions {
        secret: String::new(),
        keys: vec![key("pub", "EdDSA", "ed25519-public.pem")],
        ..options()
    });
    let refused = verifier.issue(1, false, Duration::from_secs(60), at(NOW));
    assert_eq!(refused, Err(IssueError::NoKey));
    let signer = load(TokenOptions {
        secret: String::new(),
        keys: vec![key("pub", "EdDSA", "ed25519-private.pem")],
        ..options()
    });
    let token = signer.issue(1, false, Duration::from_secs(60), at(NOW)).unwrap().token;
    assert!(verifier.verify(&token, at(NOW)).is_ok(), "the private key's tokens verify with the public one");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics(token in "\\PC{0,200}") {
        let _ = tokens().verify(&token, at(NOW));
    }

    #[test]
    fn any_header_and_claims_are_judged(header in "[\\x20-\\x7e]{0,60}", claims in "[\\x20-\\x7e]{0,60}") {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let verdict = tokens().verify(&format!("{}.{}.AAAA", part(&header), part(&claims)), at(NOW));
        prop_assert!(verdict.is_err());
    }

    #[test]
    fn a_token_that_was_changed_anywhere_is_refused(place in any::<prop::sample::Index>(), other in 0..64_usize) {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let tokens = tokens();
        let token = tokens.issue(42, false, Duration::from_secs(60), at(NOW)).unwrap().token;
        let mut changed = token.clone().into_bytes();
        let place = place.index(changed.len());
        changed[place] = ALPHABET[other];
        let changed = String::from_utf8(changed).unwrap();
        prop_assume!(changed != token);
        prop_assert!(tokens.verify(&changed, at(NOW)).is_err(), "{}", changed);
    }

    #[test]
    fn any_user_comes_back(user in 1..=crate::ids::MAX_ID, ttl in 1..1_000_000_u64, admin: bool) {
        let tokens = tokens();
        let issued = tokens.issue(user, admin, Duration::from_secs(ttl), at(NOW)).unwrap();
        let identity = tokens.verify(&issued.token, at(NOW)).unwrap();
        prop_assert_eq!((identity.user, identity.admin), (user, admin));
        prop_assert_eq!(identity.expires_at, Some(later(issued.expires_at, LEEWAY)));
    }
}
