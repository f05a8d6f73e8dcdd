//! Who is in a group, and as what: in, out, promoted, muted. A mute outlasts the membership.

use std::collections::BTreeSet;

use super::{Locked, Role, lock, member, require, role};
use crate::store::sql::{MAX_LIST, Tx, Value, finds, list, values};
use crate::store::{Conversation, Refused, StoreError, Timestamp, read_positions};

/// Lets a user into a public group.
///
/// # Errors
/// [`Refused::GroupNotFound`], [`Refused::AlreadyAMember`], [`Refused::Forbidden`] when it is not public,
/// [`Refused::GroupFull`].
pub async fn join(tx: &mut dyn Tx, id: u64, user: u64, now: Timestamp) -> Result<(), StoreError> {
    let group = lock(tx, id).await?;
    if member(tx, id, user).await?.is_some() {
        return Err(Refused::AlreadyAMember.into());
    }
    if !group.is_public {
        return Err(Refused::Forbidden.into());
    }
    add(tx, id, &group, vec![user], Role::Member, now).await.map(drop)
}

/// Lets users into a group on behalf of a member, all of them or none. Gives those who were not in it before.
///
/// # Errors
/// [`Refused::GroupNotFound`], [`Refused::NotAMember`], [`Refused::Forbidden`], [`Refused::GroupFull`].
pub async fn invite(
    tx: &mut dyn Tx,
    id: u64,
    by: u64,
    users: Vec<u64>,
    now: Timestamp,
) -> Result<Vec<u64>, StoreError> {
    let group = lock(tx, id).await?;
    require(tx, id, by, if group.is_public { Role::Member } else { Role::Admin }).await?;
    add(tx, id, &group, users, Role::Member, now).await
}

/// Lets a member go.
///
/// # Errors
/// [`Refused::GroupNotFound`], [`Refused::NotAMember`], [`Refused::OwnerCannotLeave`].
pub async fn leave(tx: &mut dyn Tx, id: u64, user: u64, now: Timestamp) -> Result<(), StoreError> {
    lock(tx, id).await?;
    if role(tx, id, user).await? == Role::Owner {
        return Err(Refused::OwnerCannotLeave.into());
    }
    remove(tx, id, user, now).await
}

/// Throws a member out.
///
/// # Errors
/// [`Refused::GroupNotFound`], [`Refused::NotAMember`], [`Refused::Forbidden`].
pub async fn kick(tx: &mut dyn Tx, id: u64, by: u64, user: u64, now: Timestamp) -> Result<(), StoreError> {
    lock(tx, id).await?;
    above(tx, id, by, user).await?;
    remove(tx, id, user, now).await
}

/// Makes a member an admin, or an admin a member.
///
/// # Errors
/// [`Refused::GroupNotFound`], [`Refused::NotAMember`], [`Refused::Forbidden`].
pub async fn set_admin(
    tx: &mut dyn Tx,
    id: u64,
    by: u64,
    user: u64,
    is_admin: bool,
) -> Result<(), StoreError> {
    lock(tx, id).await?;
    require(tx, id, by, Role::Owner).await?;
    above(tx, id, by, user).await?;
    let role = if is_admin { Role::Admin } else { Role::Member };
    tx.execute(
        "UPDATE group_members SET role = ? WHERE group_id = ? AND user_id = ?",
        values![role, id, user],
    )
    .await
    .map(drop)
}

/// Lets a member not write until then, or write again with `None`.
///
/// # Errors
/// [`Refused::GroupNotFound`], [`Refused::NotAMember`], [`Refused::Forbidden`].
pub async fn mute(
    tx: &mut dyn Tx,
    id: u64,
    by: u64,
    user: u64,
    until: Option<Timestamp>,
) -> Result<(), StoreError> {
    lock(tx, id).await?;
    above(tx, id, by, user).await?;
    set_mute(tx, id, user, until).await
}

async fn set_mute(tx: &mut dyn Tx, id: u64, user: u64, until: Option<Timestamp>) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE group_members SET muted_until_ms = ? WHERE group_id = ? AND user_id = ?",
        values![until, id, user],
    )
    .await
    .map(drop)
}

/// Refuses who is no admin, or not of a higher role than whom it concerns.
async fn above(tx: &mut dyn Tx, id: u64, by: u64, user: u64) -> Result<(), StoreError> {
    let mine = require(tx, id, by, Role::Admin).await?;
    if role(tx, id, user).await? >= mine { Err(Refused::Forbidden.into()) } else { Ok(()) }
}

/// Adds those of the users who are not in the group, if there is room for all of them.
pub(super) async fn add(
    tx: &mut dyn Tx,
    id: u64,
    group: &Locked,
    users: Vec<u64>,
    role: Role,
    now: Timestamp,
) -> Result<Vec<u64>, StoreError> {
    let wanted: BTreeSet<u64> = users.into_iter().collect();
    let present: BTreeSet<u64> = super::member_ids(tx, id).await?.into_iter().collect();
    let new: Vec<u64> = wanted.difference(&present).copied().collect();
    if (present.len() + new.len()) as u64 > group.max_members && !new.is_empty() {
        return Err(Refused::GroupFull.into());
    }
    for users in new.chunks(MAX_LIST) {
        let insert = format!(
            "INSERT INTO group_members (group_id, user_id, role, joined_at_ms) VALUES {}",
            vec!["(?, ?, ?, ?)"; users.len()].join(", ")
        );
        let row = |user: &u64| [id.into(), (*user).into(), role.into(), now.into()];
        tx.execute(&insert, &users.iter().flat_map(row).collect::<Vec<Value>>()).await?;
        take_mutes_up(tx, id, users, now).await?;
    }
    read_positions::begin_at_end(tx, &new, Conversation::Group(id), now).await?;
    Ok(new)
}

/// Refuses if one of the users is in more groups than one may be in.
///
/// # Errors
/// [`Refused::TooManyGroups`].
pub async fn check_room_for(tx: &mut dyn Tx, users: &[u64], limit: u64) -> Result<(), StoreError> {
    for users in users.chunks(MAX_LIST) {
        let (list, mut values) = list(users);
        let query = format!(
            "SELECT user_id FROM group_members WHERE user_id IN {list} \
             GROUP BY user_id HAVING COUNT(*) > ? LIMIT 1"
        );
        values.push(limit.into());
        if finds(tx, &query, &values).await? {
            return Err(Refused::TooManyGroups.into());
        }
    }
    Ok(())
}

/// Those who come back muted are muted still.
async fn take_mutes_up(tx: &mut dyn Tx, id: u64, users: &[u64], now: Timestamp) -> Result<(), StoreError> {
    let (list, of_users) = list(users);
    let query = format!("SELECT user_id, until_ms FROM group_mutes WHERE group_id = ? AND user_id IN {list}");
    let of_users: Vec<_> = std::iter::once(id.into()).chain(of_users).collect();
    for row in tx.query(&query, &of_users).await? {
        let (user, until): (u64, Timestamp) = (row.get(0)?, row.get(1)?);
        if until > now {
            set_mute(tx, id, user, Some(until)).await?;
        }
        let delete = "DELETE FROM group_mutes WHERE group_id = ? AND user_id = ?";
        tx.execute(delete, values![id, user]).await?;
    }
    Ok(())
}

/// With the group locked: nobody else writes its mutes.
async fn remove(tx: &mut dyn Tx, id: u64, user: u64, now: Timestamp) -> Result<(), StoreError> {
    // A node of an older version does not take up what is there.
    let old = "DELETE FROM group_mutes WHERE group_id = ? AND (until_ms <= ? OR user_id = ?)";
    tx.execute(old, values![id, now, user]).await?;
    tx.execute(
        "INSERT INTO group_mutes (group_id, user_id, until_ms) SELECT group_id, user_id, muted_until_ms \
         FROM group_members WHERE group_id = ? AND user_id = ? AND muted_until_ms > ?",
        values![id, user, now],
    )
    .await?;
    tx.execute("DELETE FROM group_members WHERE group_id = ? AND user_id = ?", values![id, user])
        .await
        .map(drop)
}
