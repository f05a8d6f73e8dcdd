//! Friendships, from the request on.
//!
//! Functions on a transaction. A friendship has two sides, each with its own remark: what one calls the other. Whether
//! strangers may write to each other is not decided here.

use serde::Serialize;

use super::sql::{Tx, finds, insert_new, values};
use super::{Refused, StoreError, Timestamp, blocks};

/// Somebody's friend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Friend {
    /// Who.
    pub user_id: u64,
    /// What they are called by whose friend they are.
    pub remark: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// Somebody wants to be friends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FriendRequest {
    /// Who.
    pub from_user_id: u64,
    /// Since when.
    pub at: Timestamp,
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// It waits for the other user.
    Waiting,
    /// The other user had asked before, so they are friends now.
    Friends,
}

/// Asks a user to be friends. Asking again changes the remark.
///
/// # Errors
/// [`Refused::Oneself`], [`Refused::AlreadyFriends`], [`Refused::Blocked`].
pub async fn request(
    tx: &mut dyn Tx,
    from: u64,
    to: u64,
    remark: Option<String>,
    now: Timestamp,
) -> Result<Requested, StoreError> {
    if from == to {
        return Err(Refused::Oneself.into());
    }
    if are_friends(tx, from, to).await? {
        return Err(Refused::AlreadyFriends.into());
    }
    if blocks::is_blocked(tx, to, from).await? {
        return Err(Refused::Blocked.into());
    }
    let other = "SELECT 1 FROM friend_requests WHERE from_user_id = ? AND to_user_id = ?";
    if finds(tx, other, values![to, from]).await? {
        accept(tx, from, to, remark, now).await?;
        return Ok(Requested::Friends);
    }
    let updated = tx
        .execute(
            "UPDATE friend_requests SET remark = COALESCE(?, remark), at_ms = ? \
             WHERE from_user_id = ? AND to_user_id = ?",
            values![remark.clone(), now, from, to],
        )
        .await?;
    if updated == 0 {
        insert_new(
            tx,
            "INSERT INTO friend_requests (from_user_id, to_user_id, remark, at_ms) VALUES (?, ?, ?, ?)",
            values![from, to, remark.clone(), now],
        )
        .await?;
        // The other one may be asking at the same moment: of two that wait for each other here one begins anew, and sees it.
        let other = format!("{other}{}", tx.dialect().for_update());
        if finds(tx, &other, values![to, from]).await? {
            accept(tx, from, to, remark, now).await?;
            return Ok(Requested::Friends);
        }
    }
    Ok(Requested::Waiting)
}

/// Accepts the request of another user, with an own remark.
///
/// # Errors
/// [`Refused::RequestNotFound`].
pub async fn accept(
    tx: &mut dyn Tx,
    user: u64,
    from: u64,
    remark: Option<String>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let request = format!(
        "SELECT remark FROM friend_requests WHERE from_user_id = ? AND to_user_id = ?{}",
        tx.dialect().for_update()
    );
    let found = tx.query(&request, values![from, user]).await?;
    let their_remark: Option<String> = found.first().ok_or(Refused::RequestNotFound)?.get(0)?;
    delete_requests(tx, user, from).await?;
    for (one, other, remark) in [(user, from, remark), (from, user, their_remark)] {
        insert_new(
            tx,
            "INSERT INTO friends (user_id, friend_id, remark, since_ms) VALUES (?, ?, ?, ?)",
            values![one, other, remark, now],
        )
        .await?;
    }
    Ok(())
}

/// Refuses the request of another user.
///
/// # Errors
/// [`Refused::RequestNotFound`].
pub async fn reject(tx: &mut dyn Tx, user: u64, from: u64) -> Result<(), StoreError> {
    let delete = "DELETE FROM friend_requests WHERE from_user_id = ? AND to_user_id = ?";
    match tx.execute(delete, values![from, user]).await? {
        0 => Err(Refused::RequestNotFound.into()),
        _ => Ok(()),
    }
}

/// Ends a friendship, for both sides.
///
/// # Errors
/// [`Refused::NotFriends`].
pub async fn remove(tx: &mut dyn Tx, user: u64, friend: u64) -> Result<(), StoreError> {
    let delete =
        "DELETE FROM friends WHERE (user_id = ? AND friend_id = ?) OR (user_id = ? AND friend_id = ?)";
    match tx.execute(delete, values![user, friend, friend, user]).await? {
        0 => Err(Refused::NotFriends.into()),
        _ => Ok(()),
    }
}

/// Changes what a user calls a friend.
///
/// # Errors
/// [`Refused::NotFriends`].
pub async fn set_remark(
    tx: &mut dyn Tx,
    user: u64,
    friend: u64,
    remark: Option<String>,
) -> Result<(), StoreError> {
    let update = "UPDATE friends SET remark = ? WHERE user_id = ? AND friend_id = ?";
    match tx.execute(update, values![remark, user, friend]).await? {
        0 => Err(Refused::NotFriends.into()),
        _ => Ok(()),
    }
}

/// A user's friends, by id.
pub async fn list(tx: &mut dyn Tx, user: u64) -> Result<Vec<Friend>, StoreError> {
    let query = "SELECT friend_id, remark, since_ms FROM friends WHERE user_id = ? ORDER BY friend_id";
    let friend =
        |row: &super::sql::Row| Ok(Friend { user_id: row.get(0)?, remark: row.get(1)?, since: row.get(2)? });
    tx.query(query, values![user]).await?.iter().map(friend).collect()
}

/// Who waits for a user's answer, by id.
pub async fn requests(tx: &mut dyn Tx, user: u64) -> Result<Vec<FriendRequest>, StoreError> {
    let query = "SELECT from_user_id, at_ms FROM friend_requests WHERE to_user_id = ? ORDER BY from_user_id";
    let request = |row: &super::sql::Row| Ok(FriendRequest { from_user_id: row.get(0)?, at: row.get(1)? });
    tx.query(query, values![user]).await?.iter().map(request).collect()
}

/// Whether two users are friends.
pub async fn are_friends(tx: &mut dyn Tx, one: u64, other: u64) -> Result<bool, StoreError> {
    finds(tx, "SELECT 1 FROM friends WHERE user_id = ? AND friend_id = ?", values![one, other]).await
}

async fn delete_requests(tx: &mut dyn Tx, one: u64, other: u64) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM friend_requests WHERE (from_user_id = ? AND to_user_id = ?) OR (from_user_id = ? AND to_user_id = ?)",
        values![one, other, other, one],
    )
    .await
    .map(drop)
}
