//! `/api/message`.

use serde_json::json;

use super::operation::{Operation, delete, get, post};
use super::schema::{Field, MESSAGE_TYPES, field, id, kinds, list, named, text, whole};
use crate::api::messages::{self, PAGE, PAGE_MAX};
use crate::config::Config;
use crate::im::{MAX_FILE_FIELD_BYTES, MAX_REPLY_ID_BYTES};
use crate::store::{MAX_CLIENT_MESSAGE_ID_BYTES, MAX_ID};

/// Refusals where a conversation must be one that the user takes part in.
const FOR_MEMBERS: [&str; 2] = ["not_a_member", "group_not_found"];
/// And where it is found by a message in it.
const FOR_READERS: [&str; 4] = ["forbidden", "not_a_member", "group_not_found", "message_not_found"];

pub fn operations(config: &Config) -> Vec<Operation> {
    let file_field = || text(0, MAX_FILE_FIELD_BYTES);
    let reply_name = json!({ "anyOf": [text(0, MAX_REPLY_ID_BYTES), whole(0, MAX_ID)] });
    let names = || list(named("MessageName"));
    vec![
        post("/api/message/send", messages::send, "sendMessage", "Sends a message to a user or a group")
            .about("The same `clientMessageId` from the same sender never stores twice: the first message is answered again.")
            .takes([
                field("toUserId", id(), "To whom; or else `groupId`").optional().example(2),
                field("groupId", id(), "To which group").optional(),
                field("messageType", kinds(&MESSAGE_TYPES), "What it is").example(1),
                field("content", text(1, config.im.max_content_chars), "The text, or a caption").example("hello"),
                field("fileUrl", file_field(), "Where the file is").optional(),
                field("fileSize", whole(0, MAX_ID), "Its length in bytes").optional(),
                field("fileName", file_field(), "Its name").optional(),
                field("replyToMessageId", reply_name, "`messageId` or `id` of the one that it answers").optional(),
                field("clientMessageId", text(0, MAX_CLIENT_MESSAGE_ID_BYTES), "The sender's own name for it")
                    .optional(),
            ])
            .body(json!({
                "oneOf": [
                    { "required": ["toUserId"], "properties": { "toUserId": id() } },
                    { "required": ["groupId"], "properties": { "groupId": id() } },
                ],
            }))
            .gives(named("Message"))
            .refuses(&[
                "invalid_payload",
                "invalid_content",
                "forbidden_word",
                "not_a_member",
                "muted",
                "blocked",
                "not_friends",
                "group_not_found",
                "message_not_found",
                "rate_limited",
            ]),
        post("/api/message/private/history", messages::private_history, "getPrivateHistory", "Messages with a user")
            .takes(history(2, "1 unless it says otherwise"))
            .gives(named("History"))
            .refuses(&FOR_READERS),
        post("/api/message/group/history", messages::group_history, "getGroupHistory", "Messages of a group")
            .takes(history(1, "2 unless it says otherwise"))
            .gives(named("History"))
            .refuses(&FOR_READERS),
        post("/api/message/read", messages::read, "markRead", "Marks a message as read, and what stands before it")
            .takes([field("messageId", named("MessageName"), "The message").example(1)])
            .refuses(&FOR_READERS),
        post("/api/message/read/batch", messages::read_batch, "markManyRead", "Marks several messages as read")
            .about("The body may be the bare list. Messages that one can't see are passed over.")
            .takes([field("messageIds", names(), "At most 1000 messages").example(json!([1]))])
            .body(names())
            .refuses(&["invalid_payload"]),
        get("/api/message/unread/count", messages::unread_count, "countUnread", "How many messages one has not read")
            .takes([
                field("targetId", id(), "The user or the group").example(2),
                field("conversationType", kinds(&["private", "group"]), "Which of the two; 1 unless it says otherwise")
                    .optional(),
            ])
            .gives(whole(0, MAX_ID))
            .refuses(&FOR_MEMBERS),
        get("/api/message/{id}", messages::get, "getMessage", "A message")
            .takes([which()])
            .gives(named("Message"))
            .refuses(&FOR_READERS),
        delete("/api/message/{id}", messages::delete, "deleteMessage", "Empties a message")
            .about("For its sender, and for admins of its group, as long as they are in it.")
            .takes([which()])
            .gives(named("Message"))
            .refuses(&["forbidden", "message_not_found"]),
        post("/api/message/{id}/recall", messages::recall, "recallMessage", "Takes a message back")
            .about("For its sender, and for admins of its group, as long as they are in it, for a short time.")
            .takes([which()])
            .gives(named("Message"))
            .refuses(&["forbidden", "message_not_found", "too_late"]),
    ]
}

fn which() -> Field {
    field("id", named("MessageName"), "The message").example(1)
}

fn history(target: u64, kind: &'static str) -> [Field; 5] {
    let mut size = whole(1, PAGE_MAX);
    size["default"] = PAGE.into();
    [
        field("targetId", id(), "The user or the group").example(target),
        field("conversationType", kinds(&["private", "group"]), kind).optional(),
        field("page", whole(1, MAX_ID), "Which page, from 1").optional().example(1),
        field("size", size, "Messages on a page").optional().example(PAGE),
        field("lastMessageId", named("MessageName"), "Instead of a page: those before this one").optional(),
    ]
}
