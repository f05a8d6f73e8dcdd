//! Registered users. In open mode there are none, and nothing else in the store needs them.
//!
//! Functions on a transaction. A user is found by any of three account names: user name, phone number, e-mail address.
//! No account name leads to two users. Names are compared byte for byte; passwords come and go hashed.

use serde::Serialize;

use super::sql::{Row, Tx, finds, values};
use super::{Refused, StoreError, Timestamp};

/// A registered user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The user's number.
    pub id: u64,
    /// User name.
    pub username: String,
    /// Phone number.
    pub phone: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// The name that others see.
    pub nickname: Option<String>,
    /// Where the user's picture is.
    pub avatar: Option<String>,
    /// Whether the user may operate the cluster.
    pub is_admin: bool,
    /// When the user was registered.
    pub created_at: Timestamp,
}

/// What a login is checked against.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who.
    pub user: User,
    /// The hash of the user's password.
    pub password_hash: String,
}

/// A user to be registered. Account names are at most 255 bytes, and `None` rather than empty.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    /// User name, not empty.
    pub username: String,
    /// Phone number.
    pub phone: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// The name that others see.
    pub nickname: Option<String>,
    /// Where the user's picture is.
    pub avatar: Option<String>,
    /// The hash of the user's password.
    pub password_hash: String,
    /// Whether the user may operate the cluster.
    pub is_admin: bool,
}

/// A change of a user's data. What is `None` stays; an empty text takes away what there was.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    /// Phone number.
    pub phone: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// The name that others see.
    pub nickname: Option<String>,
    /// Where the user's picture is.
    pub avatar: Option<String>,
    /// The hash of the user's password.
    pub password_hash: Option<String>,
}

const SELECT: &str =
    "SELECT id, username, phone, email, nickname, avatar, is_admin, created_at_ms, password_hash FROM users ";

fn user(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.get(0)?,
        username: row.get(1)?,
        phone: row.get(2)?,
        email: row.get(3)?,
        nickname: row.get(4)?,
        avatar: row.get(5)?,
        is_admin: row.get(6)?,
        created_at: row.get(7)?,
    })
}

/// Registers a user.
///
/// # Errors
/// [`Refused::UsernameTaken`], [`Refused::PhoneTaken`], [`Refused::EmailTaken`].
pub async fn create(tx: &mut dyn Tx, new: NewUser, now: Timestamp) -> Result<User, StoreError> {
    let names = AccountNames {
        username: Some(&new.username),
        phone: new.phone.as_deref(),
        email: new.email.as_deref(),
    };
    names.refuse_taken(tx, 0).await?;
    let inserted = tx
        .insert(
            "INSERT INTO users (username, phone, email, nickname, avatar, password_hash, is_admin, created_at_ms) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            values![
                &new.username,
                new.phone.as_ref(),
                new.email.as_ref(),
                new.nickname,
                new.avatar,
                new.password_hash,
                new.is_admin,
                now
            ],
        )
        .await;
    let id = names.explain(tx, 0, inserted).await?;
    names.refuse_crossed(tx, id).await?;
    Ok(get(tx, id).await?.ok_or(Refused::UserNotFound)?)
}

/// Changes a user's data.
///
/// # Errors
/// [`Refused::UserNotFound`], [`Refused::PhoneTaken`], [`Refused::EmailTaken`].
pub async fn update(tx: &mut dyn Tx, id: u64, change: UserChange) -> Result<User, StoreError> {
    let is_given = |name: &&str| !name.is_empty();
    let names = AccountNames {
        username: None,
        phone: change.phone.as_deref().filter(is_given),
        email: change.email.as_deref().filter(is_given),
    };
    names.refuse_taken(tx, id).await?;
    let updated = tx
        .execute(
            "UPDATE users SET phone = NULLIF(COALESCE(?, phone), ''), email = NULLIF(COALESCE(?, email), ''), \
                nickname = NULLIF(COALESCE(?, nickname), ''), avatar = NULLIF(COALESCE(?, avatar), ''), \
                password_hash = COALESCE(?, password_hash) WHERE id = ?",
            values![
                change.phone.as_ref(),
                change.email.as_ref(),
                change.nickname,
                change.avatar,
                change.password_hash,
                id
            ],
        )
        .await;
    names.explain(tx, id, updated).await?;
    names.refuse_crossed(tx, id).await?;
    Ok(get(tx, id).await?.ok_or(Refused::UserNotFound)?)
}

/// The user of that number.
pub async fn get(tx: &mut dyn Tx, id: u64) -> Result<Option<User>, StoreError> {
    tx.query(&format!("{SELECT}WHERE id = ?"), values![id]).await?.first().map(user).transpose()
}

/// The user with that user name, phone number or e-mail address.
pub async fn by_account(tx: &mut dyn Tx, account: String) -> Result<Option<Credentials>, StoreError> {
    let query = format!("{SELECT}WHERE username = ? OR phone = ? OR email = ?");
    let rows = tx.query(&query, values![&account, &account, &account]).await?;
    rows.first().map(|row| Ok(Credentials { user: user(row)?, password_hash: row.get(8)? })).transpose()
}

/// Whether somebody has that user name, phone number or e-mail address.
pub async fn is_taken(tx: &mut dyn Tx, account: String) -> Result<bool, StoreError> {
    let query = "SELECT 1 FROM users WHERE username = ? OR phone = ? OR email = ?";
    finds(tx, query, values![&account, &account, &account]).await
}

/// The account names that a user is to have.
struct AccountNames<'a> {
    username: Option<&'a str>,
    phone: Option<&'a str>,
    email: Option<&'a str>,
}

impl AccountNames<'_> {
    /// Refuses names that lead to another user than `id`. One query: between two, somebody may take them all.
    async fn refuse_taken(&self, tx: &mut dyn Tx, id: u64) -> Result<(), StoreError> {
        let Self { username, phone, email } = *self;
        let query = "SELECT username, phone, email FROM users \
                     WHERE (username IN (?, ?, ?) OR phone IN (?, ?, ?) OR email IN (?, ?, ?)) AND id <> ?";
        let others = tx
            .query(query, values![username, phone, email, username, phone, email, username, phone, email, id])
            .await?;
        let taken = others.iter().flat_map(|row| (0..3).map(|column| row.get::<Option<String>>(column)));
        let taken = taken.collect::<Result<Vec<_>, _>>()?;
        let is_taken = |name: &str| taken.iter().flatten().any(|taken| taken == name);
        let refused =
            [(username, Refused::UsernameTaken), (phone, Refused::PhoneTaken), (email, Refused::EmailTaken)]
                .into_iter()
                .find(|(name, _)| name.is_some_and(is_taken));
        refused.map_or(Ok(()), |(_, refused)| Err(refused.into()))
    }

    /// Refuses, after the change, names that lead to another user by another column, where no unique key tells. The row of
    /// whoever takes such a name at the same moment is locked: one of the two waits for the other, and then sees its name.
    async fn refuse_crossed(&self, tx: &mut dyn Tx, id: u64) -> Result<(), StoreError> {
        let Self { username, phone, email } = *self;
        for (name, refused, others) in [
            (username, Refused::UsernameTaken, ["phone", "email"]),
            (phone, Refused::PhoneTaken, ["username", "email"]),
            (email, Refused::EmailTaken, ["username", "phone"]),
        ] {
            let Some(name) = name else { continue };
            for column in others {
                let lock = tx.dialect().for_update();
                let query = format!("SELECT 1 FROM users WHERE {column} = ? AND id <> ?{lock}");
                if finds(tx, &query, values![name, id]).await? {
                    return Err(refused.into());
                }
            }
        }
        Ok(())
    }

    /// Says which name it was that somebody else has taken between the look and the change.
    async fn explain<T>(
        &self,
        tx: &mut dyn Tx,
        id: u64,
        changed: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Err(StoreError::Conflict(_)) = changed {
            self.refuse_taken(tx, id).await?;
        }
        changed
    }
}
