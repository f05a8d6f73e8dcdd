//! The keys that tokens are signed with, each under its name (`kid`) and bound to its algorithm.
//!
//! A secret signs and verifies; so does an Ed25519 private key. Public keys, of Ed25519 or RSA, verify. With RSA
//! nothing is signed here: that is for issuers who have no better key, and keeps RSA private keys, which are hard
//! to use without leaking them through timing, out of this program.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{DecodingKey, EncodingKey, Validation};

/// The shortest secret of HS256, in bytes: as long as the hash's output (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;
/// The shortest modulus of RS256 (RFC 7518, section 3.3).
const MIN_RSA_BITS: usize = 2048;
/// A key file is no larger than this.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// The longest name of a key.
const MAX_KID_BYTES: usize = 64;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: who can verify can sign.
    Hs256,
    /// RSA with SHA-256 (PKCS #1 1.5).
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Hs256, Self::Rs256, Self::EdDsa];

    /// Its name in a token's header (RFC 7518, section 3.1; RFC 8037).
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    fn in_header(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// Where a key is and what it is for, as an entry of the setting `auth.jwt_keys` says it: `KID=ALGORITHM:FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// The name by which tokens refer to it (`kid`).
    pub kid: String,
    /// The one algorithm that it is used with.
    pub algorithm: Algorithm,
    /// The file: a secret for HS256, PEM for the others.
    pub path: PathBuf,
}

/// Text that names no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key is written KID=ALGORITHM:FILE, with HS256, RS256 or EdDSA, such as 2026-a=EdDSA:keys/2026-a.pem"
)]
pub struct ParseKeySpecError;

impl FromStr for KeySpec {
    type Err = ParseKeySpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kid, rest) = text.split_once('=').ok_or(ParseKeySpecError)?;
        let (name, path) = rest.split_once(':').ok_or(ParseKeySpecError)?;
        let is_kid = (1..=MAX_KID_BYTES).contains(&kid.len())
            && kid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        match algorithm {
            Some(algorithm) if is_kid && !path.is_empty() => {
                Ok(Self { kid: kid.to_owned(), algorithm, path: path.into() })
            }
            _ => Err(ParseKeySpecError),
        }
    }
}

/// Why keys can't be used. Names the key and its file, never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// An entry can't be read.
    #[error("auth.jwt_keys: {text:?}: {error}")]
    Spec {
        /// The entry.
        text: String,
        /// How it should be written.
        #[source]
        error: ParseKeySpecError,
    },
    /// The file of a key can't be read.
    #[error("auth.jwt_keys: key {kid}: can't read {}: {error}", path.display())]
    Read {
        /// The key.
        kid: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// What is in the file is no such key, or too weak.
    #[error("auth.jwt_keys: key {kid}: {} holds no key to use: it must be {expected}", path.display())]
    Unusable {
        /// The key.
        kid: String,
        /// Its file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// The key that is to sign can only verify, or there is none of that name.
    #[error(
        "auth.jwt_issue_key: key {kid} can't sign tokens: it must be one of auth.jwt_keys, HS256 or an EdDSA private key"
    )]
    CannotSign {
        /// The key.
        kid: String,
    },
}

/// A key, ready for use.
pub(super) struct Key {
    /// `None` for the secret of the settings, which tokens refer to by saying nothing.
    pub kid: Option<String>,
    pub algorithm: jsonwebtoken::Algorithm,
    pub verifying: DecodingKey,
    /// `None` when it can only verify.
    pub signing: Option<EncodingKey>,
    /// Checks the signature with this key's algorithm, and nothing else: claims are the business of `token.rs`.
    pub validation: Validation,
}

impl Key {
    fn new(kid: Option<String>, algorithm: Algorithm, pair: Pair) -> Self {
        let algorithm = algorithm.in_header();
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self { kid, algorithm, verifying: pair.verifying, signing: pair.signing, validation }
    }

    fn read(spec: &KeySpec) -> Result<Self, KeyError> {
        let bytes = read_file(&spec.path).map_err(|error| KeyError::Read {
            kid: spec.kid.clone(),
            path: spec.path.clone(),
            error,
        })?;
        let (pair, expected) = match spec.algorithm {
            Algorithm::Hs256 => (Pair::of_secret_file(&bytes), "a secret of at least 32 bytes, no PEM"),
            Algorithm::Rs256 => (Pair::of_rsa(&bytes), "an RSA public key in PEM, of 2048 to 4096 bits"),
            Algorithm::EdDsa => (Pair::of_ed25519(&bytes), "an Ed25519 key in PEM, public or private"),
        };
        let Some(pair) = pair else {
            return Err(KeyError::Unusable { kid: spec.kid.clone(), path: spec.path.clone(), expected });
        };
        Ok(Self::new(Some(spec.kid.clone()), spec.algorithm, pair))
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

/// What verifies, and what signs where that is known.
struct Pair {
    verifying: DecodingKey,
    signing: Option<EncodingKey>,
}

impl Pair {
    fn of_secret(secret: &[u8]) -> Self {
        Self { verifying: DecodingKey::from_secret(secret), signing: Some(EncodingKey::from_secret(secret)) }
    }

    fn of_secret_file(bytes: &[u8]) -> Option<Self> {
        let secret = match std::str::from_utf8(bytes) {
            // The line end that editors and shells leave is not part of it.
            Ok(text) => text.trim_end_matches(['\r', '\n']).as_bytes(),
            Err(_) => bytes,
        };
        // A public key that is taken for a secret would let everybody sign.
        let is_pem = secret.trim_ascii_start().starts_with(b"-----BEGIN");
        (secret.len() >= MIN_SECRET_BYTES && !is_pem).then(|| Self::of_secret(secret))
    }

    fn of_rsa(pem: &[u8]) -> Option<Self> {
        let verifying = DecodingKey::from_rsa_pem(pem).ok()?;
        // Whether it really is a public key, and of what size, shows in its parts.
        let jwk = Jwk::from_decoding_key(&verifying, Some(jsonwebtoken::Algorithm::RS256)).ok()?;
        let AlgorithmParameters::RSA(parts) = jwk.algorithm else { return None };
        // Six bits in a character of the modulus, which begins with a bit that is set.
        (parts.n.len() * 6 >= MIN_RSA_BITS).then_some(Self { verifying, signing: None })
    }

    fn of_ed25519(pem: &[u8]) -> Option<Self> {
        let (verifying, signing) = match EncodingKey::from_ed_pem(pem) {
            Ok(private) => {
                let public = Jwk::from_encoding_key(&private, jsonwebtoken::Algorithm::EdDSA).ok()?;
                (DecodingKey::from_jwk(&public).ok()?, Some(private))
            }
            Err(_) => (DecodingKey::from_ed_pem(pem).ok()?, None),
        };
        // The verifier takes the first 32 bytes for granted.
        (verifying.try_get_as_bytes().ok()?.len() == 32).then_some(Self { verifying, signing })
    }
}

/// All keys that are valid now.
pub(super) struct KeyRing {
    keys: Vec<Key>,
    /// Which of them signs.
    signing: Option<usize>,
}

impl KeyRing {
    /// Reads the files of all keys. `issue_key` is the name of the one that signs; empty for the secret, or without
    /// it the first that can.
    pub fn read(secret: &str, specs: &[String], issue_key: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::with_capacity(specs.len() + 1);
        if !secret.is_empty() {
            keys.push(Key::new(None, Algorithm::Hs256, Pair::of_secret(secret.as_bytes())));
        }
        for text in specs {
            let spec = text.parse().map_err(|error| KeyError::Spec { text: text.clone(), error })?;
            keys.push(Key::read(&spec)?);
        }
        let signs = |key: &Key| {
            key.signing.is_some() && (issue_key.is_empty() || key.kid.as_deref() == Some(issue_key))
        };
        let signing = keys.iter().position(signs);
        if signing.is_none() && !issue_key.is_empty() {
            return Err(KeyError::CannotSign { kid: issue_key.to_owned() });
        }
        Ok(Self { keys, signing })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that a token may be signed with: those of its algorithm, and of its `kid` if it names one.
    pub fn candidates<'a>(
        &'a self,
        algorithm: jsonwebtoken::Algorithm,
        kid: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Key> {
        self.keys
            .iter()
            .filter(move |key| key.algorithm == algorithm && (kid.is_none() || key.kid.as_deref() == kid))
    }

    /// The key that signs, and the part of it that does.
    pub fn signing(&self) -> Option<(&Key, &EncodingKey)> {
        let key = self.keys.get(self.signing?)?;
        Some((key, key.signing.as_ref()?))
    }
}
