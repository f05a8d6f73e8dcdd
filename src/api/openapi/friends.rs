//! `/api/friend`.

use serde_json::json;

use super::operation::{Operation, get, post};
use super::schema::{Field, field, id, list, named, object, text};
use crate::api::friends::{self, MAX_REMARK_CHARS};

pub fn operations() -> Vec<Operation> {
    let outcome = object(
        "What has become of it: `friends`, when the other one had asked before.",
        [("status", json!({ "enum": ["requested", "friends"] }))],
    );
    vec![
        post("/api/friend/request", friends::request, "requestFriend", "Asks a user to be friends")
            .takes([whom(), remark()])
            .gives(outcome)
            .refuses(&["oneself", "already_friends", "blocked"]),
        post("/api/friend/accept", friends::accept, "acceptFriend", "Accepts a user's request")
            .takes([whom(), remark()])
            .refuses(&["request_not_found"]),
        post("/api/friend/reject", friends::reject, "rejectFriend", "Refuses a user's request")
            .takes([whom()])
            .refuses(&["request_not_found"]),
        post("/api/friend/remove", friends::remove, "removeFriend", "Ends a friendship")
            .takes([whom()])
            .refuses(&["not_friends"]),
        post("/api/friend/remark", friends::set_remark, "remarkFriend", "Changes what one calls a friend")
            .takes([whom(), remark()])
            .refuses(&["not_friends"]),
        get("/api/friend/list", friends::list, "getFriends", "Friends, and who asks to be one")
            .gives(named("Friends")),
        post(
            "/api/friend/block",
            friends::block,
            "blockUser",
            "Takes no more private messages and requests from a user",
        )
        .takes([whom()])
        .refuses(&["oneself"]),
        post("/api/friend/unblock", friends::unblock, "unblockUser", "Takes a block back").takes([whom()]),
        get("/api/friend/blocked", friends::blocked, "getBlocked", "Whom one has blocked").gives(list(id())),
    ]
}

fn whom() -> Field {
    field("friendId", id(), "The user").example(2)
}

fn remark() -> Field {
    field("remark", text(0, MAX_REMARK_CHARS), "What one calls the friend").optional().example("Bo")
}
