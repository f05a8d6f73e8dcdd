//! The group as a whole: created, changed, handed over, dissolved.

use super::membership::add;
use super::{Group, GroupChange, Locked, NewGroup, Role, get, lock, member_ids, require, role};
use crate::store::sql::{Tx, values};
use crate::store::{Refused, StoreError, Timestamp};

/// Creates a group with its members.
///
/// # Errors
/// [`Refused::GroupFull`]: there are more of them than it may have.
pub async fn create(tx: &mut dyn Tx, new: NewGroup, now: Timestamp) -> Result<Group, StoreError> {
    let id = tx
        .insert(
            "INSERT INTO im_groups (name, description, avatar, owner_id, max_members, is_public, created_at_ms) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            values![
                new.name,
                new.description,
                new.avatar,
                new.owner_id,
                u64::from(new.max_members),
                new.is_public,
                now
            ],
        )
        .await?;
    let group = Locked { max_members: new.max_members.into(), is_public: new.is_public };
    add(tx, id, &group, vec![new.owner_id], Role::Owner, now).await?;
    add(tx, id, &group, new.member_ids, Role::Member, now).await?;
    existing(tx, id).await
}

/// Changes a group's data. A maximum below the number of members lets nobody in, and nobody out.
///
/// # Errors
/// [`Refused::GroupNotFound`], [`Refused::NotAMember`], [`Refused::Forbidden`].
pub async fn update(tx: &mut dyn Tx, id: u64, by: u64, change: GroupChange) -> Result<Group, StoreError> {
    lock(tx, id).await?;
    require(tx, id, by, Role::Admin).await?;
    tx.execute(
        "UPDATE im_groups SET name = COALESCE(?, name), description = COALESCE(?, description), \
            avatar = COALESCE(?, avatar), max_members = COALESCE(?, max_members), \
            is_public = COALESCE(?, is_public) WHERE id = ?",
        values![
            change.name,
            change.description,
            change.avatar,
            change.max_members.map(u64::from),
            change.is_public,
            id
        ],
    )
    .await?;
    existing(tx, id).await
}

/// Makes another member the owner, and the owner an admin.
///
/// # Errors
/// [`Refused::GroupNotFound`], [`Refused::NotAMember`], [`Refused::Forbidden`], [`Refused::Oneself`].
pub async fn transfer(tx: &mut dyn Tx, id: u64, by: u64, to: u64) -> Result<(), StoreError> {
    lock(tx, id).await?;
    require(tx, id, by, Role::Owner).await?;
    if by == to {
        return Err(Refused::Oneself.into());
    }
    role(tx, id, to).await?;
    tx.execute("UPDATE im_groups SET owner_id = ? WHERE id = ?", values![to, id]).await?;
    for (user, role) in [(by, Role::Admin), (to, Role::Owner)] {
        tx.execute(
            "UPDATE group_members SET role = ? WHERE group_id = ? AND user_id = ?",
            values![role, id, user],
        )
        .await?;
    }
    Ok(())
}

/// Dissolves a group, and gives those who were its members.
///
/// # Errors
/// [`Refused::GroupNotFound`], [`Refused::NotAMember`], [`Refused::Forbidden`].
pub async fn dissolve(tx: &mut dyn Tx, id: u64, by: u64, now: Timestamp) -> Result<Vec<u64>, StoreError> {
    lock(tx, id).await?;
    require(tx, id, by, Role::Owner).await?;
    let members = member_ids(tx, id).await?;
    tx.execute("UPDATE im_groups SET dissolved_at_ms = ? WHERE id = ?", values![now, id]).await?;
    for table in ["group_members", "group_mutes"] {
        tx.execute(&format!("DELETE FROM {table} WHERE group_id = ?"), values![id]).await?;
    }
    Ok(members)
}

async fn existing(tx: &mut dyn Tx, id: u64) -> Result<Group, StoreError> {
    Ok(get(tx, id).await?.ok_or(Refused::GroupNotFound)?)
}
