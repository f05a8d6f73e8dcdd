//! Registration and login: what stands behind `/api/user/register` and `/api/user/login`.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::Failure;
use crate::auth::{IssueError, PasswordError, PasswordOptions, Passwords, Tokens};
use crate::config::Config;
use crate::im::Refusal;
use crate::limiter::{Limiter, Rate, RetryIn, network};
use crate::store::users::{self, NewUser, User, UserChange};
use crate::store::{Store, StoreExt as _, Timestamp};

/// Addresses and accounts whose rate is kept.
const KEPT: usize = 100_000;

/// The accounts of registered users.
pub struct Accounts {
    store: Arc<dyn Store>,
    passwords: Passwords,
    /// What a login is answered with; `None` in open mode.
    tokens: Option<Arc<Tokens>>,
    token_ttl: Duration,
    logins_by_address: Limiter,
    logins_by_account: Limiter,
    anybody_may_register: bool,
    registrations: Limiter,
}

/// A login that has succeeded.
pub struct LoggedIn {
    /// Who.
    pub user: User,
    /// The token, and when it expires; `None` in open mode.
    pub token: Option<(String, Timestamp)>,
}

impl Accounts {
    /// With the settings' passwords, tokens and rates.
    ///
    /// # Errors
    /// The settings of passwords can't be used.
    pub fn new(
        config: &Config,
        tokens: Option<Arc<Tokens>>,
        store: Arc<dyn Store>,
    ) -> Result<Self, PasswordError> {
        let auth = &config.auth;
        let per_minute = || Limiter::new(Rate::per_minute(auth.logins_per_minute), KEPT);
        Ok(Accounts {
            store,
            passwords: Passwords::new(&PasswordOptions {
                hashers: auth.password_hashers,
                queue: auth.password_queue,
                min_chars: auth.password_min_chars,
                max_chars: auth.password_max_chars,
                ..PasswordOptions::default()
            })?,
            tokens,
            token_ttl: auth.token_ttl,
            logins_by_address: per_minute(),
            logins_by_account: per_minute(),
            anybody_may_register: auth.registration,
            registrations: Limiter::new(Rate::per_hour(auth.registrations_per_hour), KEPT),
        })
    }

    /// Registers a user; `new.password_hash` is replaced by the hash of `password`.
    ///
    /// # Errors
    /// Nobody may register here, a name is taken, the password is not as it must be, or too many come from this address.
    pub async fn register(&self, from: IpAddr, new: NewUser, password: String) -> Result<User, Failure> {
        if !self.anybody_may_register {
            return Err(Failure::new("registration_closed", "nobody can register here"));
        }
        take(&self.registrations, network(from))?;
        let password_hash = self.passwords.hash(password).await?;
        let new = NewUser { password_hash, ..new };
        let now = Timestamp::now();
        Ok(self.store.writing(move |tx| Box::pin(users::create(tx, new.clone(), now))).await?)
    }

    /// Logs a user in, by user name, phone number or e-mail address.
    ///
    /// # Errors
    /// There is no such account, or its password is another one, which is told in the same words; or too many
    /// come from this address, or for this account.
    pub async fn login(&self, from: IpAddr, account: String, password: String) -> Result<LoggedIn, Failure> {
        take(&self.logins_by_address, network(from))?;
        take(&self.logins_by_account, &account)?;
        let found = self.store.reading(move |tx| Box::pin(users::by_account(tx, account.clone()))).await?;
        let hash = found.as_ref().map(|found| found.password_hash.clone());
        let is_right = self.passwords.verify(password, hash).await?;
        let Some(found) = found.filter(|_| is_right) else {
            return Err(Failure::new("wrong_credentials", "there is no such account with this password"));
        };
        let user = found.user;
        let Some(tokens) = &self.tokens else { return Ok(LoggedIn { user, token: None }) };
        let issued =
            tokens.issue(user.id, user.is_admin, self.token_ttl, Timestamp::now()).map_err(|error| {
                match error {
                    IssueError::NoKey => Failure::new(
                        "login_closed",
                        "nobody can log in here: this node has no key to sign tokens with",
                    ),
                    error => Failure::new("internal_error", error.to_string()),
                }
            })?;
        Ok(LoggedIn { user, token: Some((issued.token, issued.expires_at)) })
    }

    /// Changes a user's data; with `password`, that, too.
    ///
    /// # Errors
    /// There is no such user, a name is taken, or the password is not as it must be.
    pub async fn update(
        &self,
        id: u64,
        change: UserChange,
        password: Option<String>,
    ) -> Result<User, Failure> {
        let password_hash = match password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let change = UserChange { password_hash, ..change };
        Ok(self.store.writing(move |tx| Box::pin(users::update(tx, id, change.clone()))).await?)
    }

    /// The user of a number.
    ///
    /// # Errors
    /// There is none.
    pub async fn get(&self, id: u64) -> Result<User, Failure> {
        let found = self.store.reading(move |tx| Box::pin(users::get(tx, id))).await?;
        found.ok_or_else(|| Failure::new("user_not_found", "there is no such user"))
    }

    /// How often each limit of theirs was reached since the start, by the name of its setting.
    pub fn limits_reached(&self) -> [(&'static str, u64); 3] {
        let logins = self.logins_by_address.refused() + self.logins_by_account.refused();
        [
            ("logins_per_minute", logins),
            ("registrations_per_hour", self.registrations.refused()),
            ("password_queue", self.passwords.overloaded()),
        ]
    }

    /// Whether somebody has this user name, phone number or e-mail address.
    ///
    /// # Errors
    /// The store is away.
    pub async fn is_taken(&self, account: String) -> Result<bool, Failure> {
        Ok(self.store.reading(move |tx| Box::pin(users::is_taken(tx, account.clone()))).await?)
    }
}

fn take(limiter: &Limiter, key: impl Hash) -> Result<(), Failure> {
    let taken = limiter.take(key, 1, Instant::now());
    taken.map_err(|RetryIn(after)| Refusal::rate_limited(after).into())
}

impl From<PasswordError> for Refusal {
    fn from(error: PasswordError) -> Self {
        Refusal::new(error.code(), error.to_string())
    }
}
