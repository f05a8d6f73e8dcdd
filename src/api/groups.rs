//! `/api/group`: groups and their members.

use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;

use super::answer::{Data, Failure};
use super::params::{Flag, List, Params, ids};
use super::{Sources, actor};
use crate::im::{CreateGroup, Id, Number, User};
use crate::store::groups::{Group, GroupChange, Member};
use crate::store::{MAX_SYNC_LIMIT, Timestamp};

/// The longest that a member can be muted: ten years, in minutes.
pub const MAX_MUTE_MINUTES: u64 = 10 * 366 * 24 * 60;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    name: String,
    description: Option<String>,
    avatar: Option<String>,
    member_ids: Option<List<Id>>,
    is_public: Option<Flag>,
    max_members: Option<Number>,
}

/// Creates a group.
pub async fn create(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Group>, Failure> {
    let actor = actor::of(&sources, &headers, &params)?;
    let Create { name, description, avatar, member_ids, is_public, max_members } = params.decode()?;
    let create = CreateGroup {
        name,
        description,
        avatar,
        members: member_ids.map(ids).unwrap_or_default(),
        is_public: is_public.is_some_and(|Flag(is_public)| is_public),
        max_members: maximum(max_members),
    };
    Ok(Data(sources.im.create_group(actor, create).await?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    name: Option<String>,
    description: Option<String>,
    avatar: Option<String>,
    is_public: Option<Flag>,
    max_members: Option<Number>,
}

/// Changes a group's data.
pub async fn update(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Group>, Failure> {
    let (actor, group) = who_and_where(&sources, &headers, &params)?;
    let Update { name, description, avatar, is_public, max_members } = params.decode()?;
    let change = GroupChange {
        name,
        description,
        avatar,
        max_members: maximum(max_members),
        is_public: is_public.map(|Flag(is_public)| is_public),
    };
    Ok(Data(sources.im.update_group(actor, group, change).await?))
}

/// A group.
pub async fn get(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Group>, Failure> {
    let (actor, group) = who_and_where(&sources, &headers, &params)?;
    Ok(Data(sources.im.group(actor, group).await?))
}

/// Dissolves a group.
pub async fn dissolve(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, group) = who_and_where(&sources, &headers, &params)?;
    sources.im.dissolve_group(actor, group).await?;
    Ok(Data(()))
}

/// Joins a group.
pub async fn join(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, group) = who_and_where(&sources, &headers, &params)?;
    sources.im.join_group(actor, group).await?;
    Ok(Data(()))
}

/// Leaves a group.
pub async fn leave(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, group) = who_and_where(&sources, &headers, &params)?;
    sources.im.leave_group(actor, group).await?;
    Ok(Data(()))
}

/// Brings users into a group; gives those who were not in it before.
pub async fn invite(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Vec<u64>>, Failure> {
    let (actor, group) = who_and_where(&sources, &headers, &params)?;
    let users = ids(params.get("userIds")?);
    Ok(Data(sources.im.invite(actor, group, users).await?))
}

/// Puts a member out.
pub async fn kick(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, group, member) = who_where_and_whom(&sources, &headers, &params)?;
    sources.im.kick_member(actor, group, member).await?;
    Ok(Data(()))
}

/// Makes a member an admin, or an admin a member.
pub async fn admin(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, group, member) = who_where_and_whom(&sources, &headers, &params)?;
    let Flag(is_admin) = params.get("isAdmin")?;
    sources.im.set_admin(actor, group, member, is_admin).await?;
    Ok(Data(()))
}

/// Makes another member the owner.
pub async fn transfer(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, group, member) = who_where_and_whom(&sources, &headers, &params)?;
    sources.im.hand_over(actor, group, member).await?;
    Ok(Data(()))
}

/// Keeps a member from writing for some minutes.
pub async fn mute(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, group, member) = who_where_and_whom(&sources, &headers, &params)?;
    let Number(minutes) = params.get("muteDuration")?;
    if !(1..=MAX_MUTE_MINUTES).contains(&minutes) {
        let message = format!("muteDuration is {minutes}, allowed are 1 to {MAX_MUTE_MINUTES} minutes");
        return Err(Failure::new("invalid_parameter", message));
    }
    let ms = Duration::from_secs(minutes * 60).as_millis() as i64;
    let until = Timestamp::from_unix_ms(Timestamp::now().unix_ms() + ms);
    sources.im.mute(actor, group, member, Some(until)).await?;
    Ok(Data(()))
}

/// Lets a member write again.
pub async fn unmute(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, group, member) = who_where_and_whom(&sources, &headers, &params)?;
    sources.im.mute(actor, group, member, None).await?;
    Ok(Data(()))
}

/// The members of a group, by id: those above `after`.
pub async fn members(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Vec<Member>>, Failure> {
    let (actor, group) = who_and_where(&sources, &headers, &params)?;
    let after = params.first_of::<Number>(&["after"])?.map_or(0, |Number(after)| after);
    let limit = params.first_of::<Number>(&["limit"])?.map_or(MAX_SYNC_LIMIT.into(), |Number(limit)| limit);
    match u32::try_from(limit) {
        Ok(limit @ 1..=MAX_SYNC_LIMIT) => {
            Ok(Data(sources.im.group_members(actor, group, after, limit).await?))
        }
        _ => {
            let message = format!("limit is {limit}, allowed are 1 to {MAX_SYNC_LIMIT}");
            Err(Failure::new("invalid_parameter", message))
        }
    }
}

/// The groups that a user is in: the actor's own.
pub async fn of_user(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Vec<Group>>, Failure> {
    let Id(user) = params.get("id")?;
    let actor = actor::of_or(&sources, &headers, &params, user)?;
    if actor.id() != user {
        return Err(Failure::new("forbidden", "users see their own groups only"));
    }
    Ok(Data(sources.im.groups_of(actor).await?))
}

/// Whether a user is a member of a group.
pub async fn is_member(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<bool>, Failure> {
    let (Id(group), Id(user)) = (params.get("id")?, params.get("userId")?);
    let actor = actor::of(&sources, &headers, &params)?;
    Ok(Data(sources.im.is_member(actor, group, user).await?))
}

fn who_and_where(sources: &Sources, headers: &HeaderMap, params: &Params) -> Result<(User, u64), Failure> {
    let group = params.first_of::<Id>(&["id", "groupId"])?;
    let Id(group) = group.ok_or_else(|| Failure::new("invalid_parameter", "groupId is missing"))?;
    Ok((actor::of(sources, headers, params)?, group))
}

fn who_where_and_whom(
    sources: &Sources,
    headers: &HeaderMap,
    params: &Params,
) -> Result<(User, u64, u64), Failure> {
    let (actor, group) = who_and_where(sources, headers, params)?;
    let Id(member) = params.get("userId")?;
    Ok((actor, group, member))
}

/// What is more than is allowed is refused where that is checked.
fn maximum(number: Option<Number>) -> Option<u32> {
    number.map(Number::saturated)
}
