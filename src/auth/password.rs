//! Passwords: hashed with argon2id, on threads that may wait, and not too many at once.
//!
//! A hash takes 19 MiB and tens of milliseconds on purpose. So at most so many run at once and so many wait; who comes
//! beyond that is told so, rather than the node running out of memory. An account that doesn't exist costs what
//! one costs that does, so nobody learns from the time which there are.
//!
//! Passwords are taken as the bytes that came, and are never logged, stored or kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error as HashError, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{Semaphore, TryAcquireError};

/// How passwords are chosen and hashed.
#[derive(Clone, Debug)]
pub struct PasswordOptions {
    /// The shortest new password, in characters.
    pub min_chars: usize,
    /// The longest new password, in characters.
    pub max_chars: usize,
    /// How many are hashed at once; at least one.
    pub hashers: usize,
    /// How many may wait for that.
    pub queue: usize,
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
}

/// The cost that OWASP's Password Storage Cheat Sheet names first for argon2id.
impl Default for PasswordOptions {
    fn default() -> Self {
        Self { min_chars: 8, max_chars: 256, hashers: 2, queue: 100, memory_kib: 19_456, passes: 2 }
    }
}

/// Why a password was not hashed or verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// A new password is too short.
    #[error("a password has at least {min_chars} characters")]
    TooShort {
        /// The shortest.
        min_chars: usize,
    },
    /// A new password is too long.
    #[error("a password has at most {max_chars} characters")]
    TooLong {
        /// The longest.
        max_chars: usize,
    },
    /// Too many wait already. Later it may work.
    #[error("too many passwords are being checked right now")]
    Overloaded,
    /// The hash in the store is none.
    #[error("the stored password hash is damaged: {0}")]
    Damaged(String),
    /// The system failed: no memory, no randomness, or the node is stopping.
    #[error("the password can't be hashed: {0}")]
    Failed(String),
}

impl PasswordError {
    /// The machine-readable code that clients see.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "password_too_short",
            Self::TooLong { .. } => "password_too_long",
            Self::Overloaded => "overloaded",
            Self::Damaged(_) | Self::Failed(_) => "internal_error",
        }
    }
}

/// Hashes and verifies. Its methods must be called within a tokio runtime.
#[derive(Debug)]
pub struct Passwords {
    min_chars: usize,
    max_chars: usize,
    argon2: Argon2<'static>,
    /// As costly as a real one; no password has it.
    nobodys: String,
    /// For those that run and those that wait.
    places: Arc<Semaphore>,
    /// For those that run.
    hashers: Arc<Semaphore>,
    overloaded: AtomicU64,
}

impl Passwords {
    /// Ready to hash.
    ///
    /// # Errors
    /// The memory or the passes are outside what argon2 allows.
    pub fn new(options: &PasswordOptions) -> Result<Self, PasswordError> {
        let params = Params::new(options.memory_kib, options.passes, 1, None)
            .map_err(|error| PasswordError::Failed(error.to_string()))?;
        let hashers = options.hashers.clamp(1, Semaphore::MAX_PERMITS);
        let places = hashers.saturating_add(options.queue).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            min_chars: options.min_chars,
            max_chars: options.max_chars,
            nobodys: nobodys_hash(&params),
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            places: Arc::new(Semaphore::new(places)),
            hashers: Arc::new(Semaphore::new(hashers)),
            overloaded: AtomicU64::new(0),
        })
    }

    /// The hash of a new password, as a PHC string: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    ///
    /// # Errors
    /// The password is too short or too long, or see [`PasswordError`].
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        let chars = password.chars().count();
        if chars < self.min_chars {
            return Err(PasswordError::TooShort { min_chars: self.min_chars });
        }
        if chars > self.max_chars {
            return Err(PasswordError::TooLong { max_chars: self.max_chars });
        }
        let argon2 = self.argon2.clone();
        self.run(move || match argon2.hash_password(password.as_bytes()) {
            Ok(hash) => Ok(hash.to_string()),
            Err(error) => Err(PasswordError::Failed(error.to_string())),
        })
        .await
    }

    /// Whether this is the password that was hashed. Without a hash, for an account that doesn't exist, it is not, and
    /// that takes as long to find out.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, PasswordError> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobodys.clone());
        let argon2 = self.argon2.clone();
        let equal = self.run(move || {
            let damaged = |error: &dyn std::fmt::Display| PasswordError::Damaged(error.to_string());
            let hash = PasswordHash::new(&hash).map_err(|error| damaged(&error))?;
            match argon2.verify_password(password.as_bytes(), &hash) {
                Ok(()) => Ok(true),
                Err(HashError::PasswordInvalid) => Ok(false),
                Err(error @ HashError::OutOfMemory) => Err(PasswordError::Failed(error.to_string())),
                Err(error) => Err(damaged(&error)),
            }
        });
        Ok(equal.await? && exists)
    }

    /// How many were refused since the start, as too many waited.
    pub fn overloaded(&self) -> u64 {
        self.overloaded.load(Relaxed)
    }

    /// Runs on a thread for blocking work, when it is its turn. A caller that goes away while it runs leaves its place
    /// only at the end: what is limited is the work, not the waiting for it.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let failed = |error: &dyn std::fmt::Display| PasswordError::Failed(error.to_string());
        let place = self.places.clone().try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => {
                self.overloaded.fetch_add(1, Relaxed);
                PasswordError::Overloaded
            }
            TryAcquireError::Closed => failed(&error),
        })?;
        let hasher = self.hashers.clone().acquire_owned().await.map_err(|error| failed(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((hasher, place));
            done
        });
        done.await.map_err(|error| failed(&error))?
    }
}

/// A hash of that cost with salt and output of zeros, which nobody has found a password for.
fn nobodys_hash(params: &Params) -> String {
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${:A<22}${:A<43}", "", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cheap, for tests in debug builds.
    fn cheap() -> PasswordOptions {
        PasswordOptions { memory_kib: 64, passes: 1, ..PasswordOptions::default() }
    }

    fn passwords(options: &PasswordOptions) -> Passwords {
        Passwords::new(options).expect("the cost is allowed")
    }

    #[test]
    fn the_cost_is_what_owasp_names() {
        let passwords = passwords(&PasswordOptions::default());
        assert!(passwords.nobodys.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", passwords.nobodys);
    }

    #[tokio::test]
    async fn a_password_is_its_own_and_no_other() {
        let passwords = passwords(&cheap());
        let secret = "correct horse 电池 📎".to_owned();
        let hash = passwords.hash(secret.clone()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert_ne!(passwords.hash(secret.clone()).await.unwrap(), hash, "each has a salt of its own");
        assert_eq!(passwords.verify(secret.clone(), Some(hash.clone())).await, Ok(true));
        for wrong in ["", "correct horse", "Correct horse 电池 📎", "correct horse 电池 📎 "] {
            assert_eq!(passwords.verify(wrong.into(), Some(hash.clone())).await, Ok(false), "{wrong:?}");
        }
        assert_eq!(passwords.verify(secret, None).await, Ok(false), "an account that doesn't exist");
    }

    /// Made by the reference implementation: `echo -n password | argon2 somesalt -id -v 13 -k 64 -t 2 -p 1`
    /// with the values of its own test suite (test.c of phc-winner-argon2, version 19, argon2id).
    #[tokio::test]
    async fn hashes_of_the_reference_implementation_are_understood() {
        let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let passwords = passwords(&cheap());
        assert_eq!(passwords.verify("password".into(), Some(hash.into())).await, Ok(true));
        assert_eq!(passwords.verify("passwore".into(), Some(hash.into())).await, Ok(false));
    }

    #[tokio::test]
    async fn nobodys_hash_costs_what_a_real_one_costs_and_has_no_password() {
        let passwords = passwords(&cheap());
        let real = passwords.hash("long enough".into()).await.unwrap();
        let cost = |hash: &str| hash.rsplitn(3, '$').last().unwrap_or_default().to_owned();
        assert_eq!(cost(&passwords.nobodys), cost(&real));
        assert_eq!(passwords.nobodys.len(), real.len());
        let direct = passwords.verify("anything".into(), Some(passwords.nobodys.clone())).await;
        assert_eq!(direct, Ok(false), "it is a hash that can be verified, and doesn't match");
    }

    #[tokio::test]
    async fn the_policy_counts_characters_of_new_passwords_only() {
        let passwords = passwords(&PasswordOptions { max_chars: 10, ..cheap() });
        assert_eq!(passwords.hash("1234567".into()).await, Err(PasswordError::TooShort { min_chars: 8 }));
        assert_eq!(
            passwords.hash("密码密码密码密".into()).await,
            Err(PasswordError::TooShort { min_chars: 8 })
        );
        assert!(passwords.hash("密码密码密码密码".into()).await.is_ok());
        assert_eq!(passwords.hash("12345678901".into()).await, Err(PasswordError::TooLong { max_chars: 10 }));
        let before = super::Passwords::new(&cheap()).unwrap();
        let long = "chosen when longer ones were allowed".to_owned();
        let hash = before.hash(long.clone()).await.unwrap();
        assert_eq!(passwords.verify(long, Some(hash)).await, Ok(true));
    }

    #[tokio::test]
    async fn a_damaged_hash_is_an_error_not_a_wrong_password() {
        let passwords = passwords(&cheap());
        for hash in ["", "plain", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=1,t=0,p=1$AAAA$AAAA"] {
            let verdict = passwords.verify("password".into(), Some(hash.into())).await;
            assert!(matches!(verdict, Err(PasswordError::Damaged(_))), "{hash:?}: {verdict:?}");
        }
    }

    #[tokio::test]
    async fn more_than_run_and_wait_are_refused_and_places_come_back() {
        let passwords = Arc::new(passwords(&PasswordOptions { hashers: 1, queue: 1, ..cheap() }));
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.run(move || Ok(wait.recv().is_ok())).await }
        });
        while passwords.hashers.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let waiting = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.verify("password".into(), None).await }
        });
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.verify("password".into(), None).await, Err(PasswordError::Overloaded));
        assert_eq!(passwords.hash("password".into()).await, Err(PasswordError::Overloaded));

        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(passwords.places.available_permits(), 1, "who stops waiting gives up the place");
        busy.abort();
        assert!(busy.await.unwrap_err().is_cancelled());
        assert_eq!(passwords.hashers.available_permits(), 0, "who is gone is still being worked for");
        release.send(()).unwrap();
        assert_eq!(passwords.verify("password".into(), None).await, Ok(false));
    }

    #[test]
    fn impossible_costs_are_refused() {
        assert!(Passwords::new(&PasswordOptions { memory_kib: 1, ..cheap() }).is_err());
        assert!(Passwords::new(&PasswordOptions { passes: 0, ..cheap() }).is_err());
    }
}
