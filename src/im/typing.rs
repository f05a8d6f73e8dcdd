//! `typing`, `stop_typing`: passed on to those who are there and could be written to, and forgotten.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::answer::{Done, Refusal};
use super::identity::User;
use super::latecomers::groups_unknown;
use super::payload::{Id, Number, decode};
use super::room::Room;
use super::{Args, Im};
use crate::socketio::Socket;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    target_id: Id,
    target_type: Number,
}

pub async fn start(im: Arc<Im>, socket: Socket, user: User, args: Args) -> Result<Done<()>, Refusal> {
    pass_on(&im, &socket, user, &args, true).await
}

pub async fn stop(im: Arc<Im>, socket: Socket, user: User, args: Args) -> Result<Done<()>, Refusal> {
    pass_on(&im, &socket, user, &args, false).await
}

async fn pass_on(
    im: &Im,
    socket: &Socket,
    user: User,
    args: &Args,
    is_typing: bool,
) -> Result<Done<()>, Refusal> {
    let Payload { target_id: Id(target), target_type: Number(target_type) } = decode(args)?;
    im.limits.take_typing(socket)?;
    let room = match target_type {
        1 => {
            im.check_may_reach(user, target).await?;
            Room::User(target)
        }
        2 if im.roster.is_member(user.id(), target) == Some(true) => Room::Group(target),
        2 if !im.roster.is_known(user.id()) => return Err(groups_unknown()),
        2 => return Err(Refusal::new("not_a_member", "only members of a group can be seen typing there")),
        other => {
            let message = format!("targetType is {other}, allowed are 1 user, 2 group");
            return Err(Refusal::new("invalid_payload", message));
        }
    };
    let event = if is_typing { "user_typing" } else { "user_stop_typing" };
    // A user and a group may have the same number; the type tells them apart.
    let payload = json!({
        "userId": user.id(), "targetId": target, "targetType": target_type, "isTyping": is_typing,
    });
    // In a group it is for the others, not for the user's other devices.
    let others = match room {
        Room::Group(_) => socket.to(room.to_string()).except(Room::User(user.id()).to_string()),
        Room::User(_) => socket.to(room.to_string()),
    };
    others.volatile().emit(event, payload);
    Ok(().into())
}
