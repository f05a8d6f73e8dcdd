//! `join_room`, `leave_room`: a connection comes back to a room that it is entitled to, or does without it. It is in all
//! of them from the start.

use std::sync::Arc;

use serde::Deserialize;

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
    room_type: Number,
}

pub async fn join(im: Arc<Im>, socket: Socket, user: User, args: Args) -> Result<Done<()>, Refusal> {
    let room = room(&decode(&args)?)?;
    if im.roster.come_back(user.id(), &socket, room) {
        return Ok(().into());
    }
    if matches!(room, Room::Group(_)) && !im.roster.is_known(user.id()) {
        return Err(groups_unknown());
    }
    Err(match room {
        Room::User(_) => Refusal::new("forbidden", "a private room is for its owner only"),
        Room::Group(_) => Refusal::new("not_a_member", "a group's room is for its members only"),
    })
}

pub async fn leave(_: Arc<Im>, socket: Socket, _: User, args: Args) -> Result<Done<()>, Refusal> {
    socket.leave(room(&decode(&args)?)?.name());
    Ok(().into())
}

fn room(payload: &Payload) -> Result<Room, Refusal> {
    let Id(id) = payload.target_id;
    match payload.room_type.0 {
        1 => Ok(Room::User(id)),
        2 => Ok(Room::Group(id)),
        other => Err(Refusal::new(
            "invalid_payload",
            format!("roomType is {other}, allowed are 1 private, 2 group"),
        )),
    }
}
