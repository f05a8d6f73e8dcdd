//! Groups and their members: who is in, with which role, and who may change that.
//!
//! Functions on a transaction. Each change checks its rules in the transaction that makes it, with the group's row
//! locked, so that they hold whoever changes the group at the same time. The rules:
//!
//! | to do this | one must be |
//! |---|---|
//! | dissolve the group, hand it over, make and unmake admins | its owner |
//! | change its data, kick, mute | owner or admin, and of a higher role than whom it concerns |
//! | invite | any member if the group is public, else owner or admin |
//! | join on one's own | anybody if the group is public |
//! | leave | any member but the owner |
//!
//! A dissolved group has no members, and is none any more; its messages stay.

mod manage;
mod membership;

use serde::{Serialize, Serializer};

pub use self::manage::{create, dissolve, transfer, update};
pub use self::membership::{check_room_for, invite, join, kick, leave, mute, set_admin};
use super::sql::{self, FromValue, Row, Tx, Value, values};
use super::{MAX_SYNC_LIMIT, Refused, StoreError, Timestamp};

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Its number.
    pub id: u64,
    /// What it is called.
    pub name: String,
    /// What it is about.
    pub description: Option<String>,
    /// Where its picture is.
    pub avatar: Option<String>,
    /// Whose it is.
    pub owner_id: u64,
    /// How many are in it, the owner too.
    pub member_count: u32,
    /// How many may be in it.
    pub max_members: u32,
    /// Whether everybody may join, and every member invite.
    pub is_public: bool,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A group to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGroup {
    /// What it is called.
    pub name: String,
    /// What it is about.
    pub description: Option<String>,
    /// Where its picture is.
    pub avatar: Option<String>,
    /// Whose it is.
    pub owner_id: u64,
    /// Who else is in it from the start. It does not matter whether the owner, or somebody twice, is among them.
    pub member_ids: Vec<u64>,
    /// How many may be in it, the owner too.
    pub max_members: u32,
    /// Whether everybody may join, and every member invite.
    pub is_public: bool,
}

/// A change of a group's data. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// What it is called.
    pub name: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Where its picture is.
    pub avatar: Option<String>,
    /// How many may be in it, the owner too.
    pub max_members: Option<u32>,
    /// Whether everybody may join, and every member invite.
    pub is_public: Option<bool>,
}

/// What a member may do. A number on the wire and in the database; a higher role can do what a lower one can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads and writes.
    Member = 0,
    /// Manages members.
    Admin = 1,
    /// Manages admins. There is one.
    Owner = 2,
}

impl FromValue for Role {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(0) => Some(Self::Member),
            Value::Int(1) => Some(Self::Admin),
            Value::Int(2) => Some(Self::Owner),
            _ => None,
        }
    }
}

impl From<Role> for Value {
    fn from(role: Role) -> Self {
        Self::Int(role as i64)
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Who.
    pub user_id: u64,
    /// What they may do.
    pub role: Role,
    /// Since when.
    pub joined_at: Timestamp,
    /// Until when they must not write; may have passed.
    pub muted_until: Option<Timestamp>,
}

const SELECT_GROUP: &str = "\
    SELECT g.id, g.name, g.description, g.avatar, g.owner_id, \
        (SELECT COUNT(*) FROM group_members n WHERE n.group_id = g.id), g.max_members, g.is_public, g.created_at_ms \
    FROM im_groups g ";

fn group(row: &Row) -> Result<Group, StoreError> {
    Ok(Group {
        id: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        avatar: row.get(3)?,
        owner_id: row.get(4)?,
        member_count: row.get(5)?,
        max_members: row.get(6)?,
        is_public: row.get(7)?,
        created_at: row.get(8)?,
    })
}

const SELECT_MEMBER: &str = "SELECT user_id, role, joined_at_ms, muted_until_ms FROM group_members ";

fn member_of(row: &Row) -> Result<Member, StoreError> {
    Ok(Member { user_id: row.get(0)?, role: row.get(1)?, joined_at: row.get(2)?, muted_until: row.get(3)? })
}

/// A group, if there is one of that id.
pub async fn get(tx: &mut dyn Tx, id: u64) -> Result<Option<Group>, StoreError> {
    let query = format!("{SELECT_GROUP}WHERE g.id = ? AND g.dissolved_at_ms IS NULL");
    tx.query(&query, values![id]).await?.first().map(group).transpose()
}

/// The groups that a user is in, oldest first.
pub async fn of_user(tx: &mut dyn Tx, user: u64) -> Result<Vec<Group>, StoreError> {
    let query =
        format!("{SELECT_GROUP}JOIN group_members m ON m.group_id = g.id WHERE m.user_id = ? ORDER BY g.id");
    tx.query(&query, values![user]).await?.iter().map(group).collect()
}

/// The groups that users are in, as pairs of user and group.
pub async fn of_users(tx: &mut dyn Tx, users: Vec<u64>) -> Result<Vec<(u64, u64)>, StoreError> {
    sql::pairs(tx, "SELECT user_id, group_id FROM group_members WHERE user_id", &users).await
}

/// A user's membership in a group. `None` also when there is no such group.
pub async fn member(tx: &mut dyn Tx, group: u64, user: u64) -> Result<Option<Member>, StoreError> {
    let query = format!("{SELECT_MEMBER}WHERE group_id = ? AND user_id = ?");
    tx.query(&query, values![group, user]).await?.first().map(member_of).transpose()
}

/// Members of a group with ids above `after_user`, in the order of their ids, at most `limit` and never more than
/// [`MAX_SYNC_LIMIT`].
pub async fn members(
    tx: &mut dyn Tx,
    group: u64,
    after_user: u64,
    limit: u32,
) -> Result<Vec<Member>, StoreError> {
    let query = format!("{SELECT_MEMBER}WHERE group_id = ? AND user_id > ? ORDER BY user_id LIMIT ?");
    let limit = u64::from(limit.min(MAX_SYNC_LIMIT));
    tx.query(&query, values![group, after_user, limit]).await?.iter().map(member_of).collect()
}

/// All members of a group, by id.
pub async fn member_ids(tx: &mut dyn Tx, group: u64) -> Result<Vec<u64>, StoreError> {
    let query = "SELECT user_id FROM group_members WHERE group_id = ? ORDER BY user_id";
    tx.query(query, values![group]).await?.iter().map(|row| row.get(0)).collect()
}

/// Lets pass who may write in a group now.
///
/// # Errors
/// [`Refused::GroupNotFound`], [`Refused::NotAMember`], [`Refused::Muted`].
pub async fn may_write(tx: &mut dyn Tx, group: u64, user: u64, now: Timestamp) -> Result<(), StoreError> {
    match member(tx, group, user).await? {
        Some(Member { muted_until: Some(until), .. }) if until > now => Err(Refused::Muted(until).into()),
        Some(_) => Ok(()),
        None if get(tx, group).await?.is_none() => Err(Refused::GroupNotFound.into()),
        None => Err(Refused::NotAMember.into()),
    }
}

/// What the rules look at.
struct Locked {
    max_members: u64,
    is_public: bool,
}

/// Locks a group for a change.
async fn lock(tx: &mut dyn Tx, group: u64) -> Result<Locked, StoreError> {
    let query = format!(
        "SELECT max_members, is_public FROM im_groups WHERE id = ? AND dissolved_at_ms IS NULL{}",
        tx.dialect().for_update()
    );
    let rows = tx.query(&query, values![group]).await?;
    let row = rows.first().ok_or(Refused::GroupNotFound)?;
    Ok(Locked { max_members: row.get(0)?, is_public: row.get(1)? })
}

/// The role of somebody who must be a member.
async fn role(tx: &mut dyn Tx, group: u64, user: u64) -> Result<Role, StoreError> {
    Ok(member(tx, group, user).await?.ok_or(Refused::NotAMember)?.role)
}

/// Refuses who has not at least that role.
async fn require(tx: &mut dyn Tx, group: u64, user: u64, at_least: Role) -> Result<Role, StoreError> {
    let role = role(tx, group, user).await?;
    if role < at_least { Err(Refused::Forbidden.into()) } else { Ok(role) }
}
