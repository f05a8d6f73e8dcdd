//! `/api/friend`: friends, requests, and blocks.

use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;

use super::answer::{Data, Failure};
use super::params::Params;
use super::{Sources, actor};
use crate::im::{Id, User};
use crate::store::friends::{Friend, FriendRequest, Requested};

/// The longest remark, in characters.
pub const MAX_REMARK_CHARS: usize = 100;

/// What has become of a request.
#[derive(Serialize)]
pub struct Outcome {
    status: &'static str,
}

/// Asks somebody to be friends.
pub async fn request(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Outcome>, Failure> {
    let (actor, friend) = who_and_whom(&sources, &headers, &params)?;
    let outcome = sources.im.request_friend(actor, friend, remark(&params)?).await?;
    let status = match outcome {
        Requested::Waiting => "requested",
        Requested::Friends => "friends",
    };
    Ok(Data(Outcome { status }))
}

/// Accepts a request.
pub async fn accept(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, friend) = who_and_whom(&sources, &headers, &params)?;
    sources.im.accept_friend(actor, friend, remark(&params)?).await?;
    Ok(Data(()))
}

/// Refuses a request.
pub async fn reject(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, friend) = who_and_whom(&sources, &headers, &params)?;
    sources.im.reject_friend(actor, friend).await?;
    Ok(Data(()))
}

/// Ends a friendship.
pub async fn remove(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, friend) = who_and_whom(&sources, &headers, &params)?;
    sources.im.remove_friend(actor, friend).await?;
    Ok(Data(()))
}

/// Changes what a friend is called.
pub async fn set_remark(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, friend) = who_and_whom(&sources, &headers, &params)?;
    sources.im.remark_friend(actor, friend, remark(&params)?).await?;
    Ok(Data(()))
}

/// Friends, and who asks to be one.
#[derive(Serialize)]
pub struct Friends {
    friends: Vec<Friend>,
    requests: Vec<FriendRequest>,
}

/// The actor's friends, and who asks to be one.
pub async fn list(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Friends>, Failure> {
    let actor = actor::of(&sources, &headers, &params)?;
    let (friends, requests) = sources.im.friends(actor).await?;
    Ok(Data(Friends { friends, requests }))
}

/// Blocks somebody.
pub async fn block(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, other) = who_and_whom(&sources, &headers, &params)?;
    sources.im.block(actor, other).await?;
    Ok(Data(()))
}

/// Takes a block back.
pub async fn unblock(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let (actor, other) = who_and_whom(&sources, &headers, &params)?;
    sources.im.unblock(actor, other).await?;
    Ok(Data(()))
}

/// Whom the actor has blocked.
pub async fn blocked(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Vec<u64>>, Failure> {
    let actor = actor::of(&sources, &headers, &params)?;
    Ok(Data(sources.im.blocked(actor).await?))
}

fn who_and_whom(sources: &Sources, headers: &HeaderMap, params: &Params) -> Result<(User, u64), Failure> {
    let Id(friend) = params.get("friendId")?;
    Ok((actor::of(sources, headers, params)?, friend))
}

fn remark(params: &Params) -> Result<Option<String>, Failure> {
    let remark = params.first_of::<String>(&["remark"])?;
    if remark.as_ref().is_some_and(|remark| remark.chars().count() > MAX_REMARK_CHARS) {
        let message = format!("remark must have at most {MAX_REMARK_CHARS} characters");
        return Err(Failure::new("invalid_parameter", message));
    }
    Ok(remark)
}
