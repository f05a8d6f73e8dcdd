//! Whom a user does not want to hear from. Functions on a transaction; what follows from a block is decided elsewhere.

use super::sql::{self, Tx, finds, values};
use super::{Refused, StoreError, Timestamp};

/// Blocks a user. Doing it again changes nothing.
///
/// # Errors
/// [`Refused::Oneself`].
pub async fn block(tx: &mut dyn Tx, by: u64, user: u64, now: Timestamp) -> Result<(), StoreError> {
    if by == user {
        return Err(Refused::Oneself.into());
    }
    let insert = format!(
        "{} INTO blocks (user_id, blocked_id, since_ms) VALUES (?, ?, ?)",
        tx.dialect().insert_absent()
    );
    tx.execute(&insert, values![by, user, now]).await.map(drop)
}

/// Takes a block back, if there is one.
pub async fn unblock(tx: &mut dyn Tx, by: u64, user: u64) -> Result<(), StoreError> {
    tx.execute("DELETE FROM blocks WHERE user_id = ? AND blocked_id = ?", values![by, user]).await.map(drop)
}

/// Whom a user has blocked, by id.
pub async fn list(tx: &mut dyn Tx, by: u64) -> Result<Vec<u64>, StoreError> {
    let query = "SELECT blocked_id FROM blocks WHERE user_id = ? ORDER BY blocked_id";
    tx.query(query, values![by]).await?.iter().map(|row| row.get(0)).collect()
}

/// Who has blocked users, as pairs of user and blocker.
pub async fn blockers_of(tx: &mut dyn Tx, users: Vec<u64>) -> Result<Vec<(u64, u64)>, StoreError> {
    sql::pairs(tx, "SELECT blocked_id, user_id FROM blocks WHERE blocked_id", &users).await
}

/// Whether one user has blocked another.
pub async fn is_blocked(tx: &mut dyn Tx, by: u64, user: u64) -> Result<bool, StoreError> {
    finds(tx, "SELECT 1 FROM blocks WHERE user_id = ? AND blocked_id = ?", values![by, user]).await
}
