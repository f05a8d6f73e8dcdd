//! `/api/group`.

use serde_json::json;

use super::operation::{Operation, delete, get, post, put};
use super::schema::{Field, field, flag, id, list, named, text, whole};
use crate::api::groups::{self, MAX_MUTE_MINUTES};
use crate::config::Config;
use crate::im::{MAX_GROUP_NAME_CHARS, MAX_GROUP_TEXT_CHARS};
use crate::store::{MAX_ID, MAX_SYNC_LIMIT};

/// Refusals where one must see the group.
const FOR_MEMBERS: [&str; 2] = ["not_a_member", "group_not_found"];
/// And where it takes a role.
const BY_ROLE: [&str; 3] = ["forbidden", "not_a_member", "group_not_found"];

pub fn operations(config: &Config) -> Vec<Operation> {
    let data = || {
        [
            field("description", text(0, MAX_GROUP_TEXT_CHARS), "What it is about").optional(),
            field("avatar", text(0, MAX_GROUP_TEXT_CHARS), "Where its picture is").optional(),
            field("isPublic", flag(), "Whether everybody may join, and every member invite").optional(),
            field(
                "maxMembers",
                whole(2, config.im.max_group_members.into()),
                "Members at most, the owner too",
            )
            .optional(),
        ]
    };
    let name = || field("name", text(1, MAX_GROUP_NAME_CHARS), "What it is called").example("us");
    let about_member = || [which(), field("userId", id(), "The member").example(2)];
    let in_role = |operation: Operation| operation.refuses(&BY_ROLE);
    vec![
        post("/api/group/create", groups::create, "createGroup", "Creates a group, and owns it")
            .takes(
                [name(), field("memberIds", list(id()), "Who else is in it").optional().example(json!([2]))]
                    .into_iter()
                    .chain(data())
                    .collect::<Vec<_>>(),
            )
            .gives(named("Group"))
            .refuses(&["invalid_payload", "group_full", "too_many_groups"]),
        post("/api/group/join", groups::join, "joinGroup", "Joins a public group")
            .takes([which()])
            .refuses(&["forbidden", "group_not_found", "already_a_member", "group_full", "too_many_groups"]),
        post("/api/group/leave", groups::leave, "leaveGroup", "Leaves a group").takes([which()]).refuses(&[
            "not_a_member",
            "group_not_found",
            "owner_cannot_leave",
        ]),
        post(
            "/api/group/invite",
            groups::invite,
            "inviteToGroup",
            "Brings users into a group, all of them or none",
        )
        .about("For admins; in a public group, for every member. Gives those who were not in it before.")
        .takes([which(), field("userIds", list(id()), "The users").example(json!([3]))])
        .gives(list(id()))
        .refuses(&["forbidden", "not_a_member", "group_not_found", "group_full", "too_many_groups"]),
        in_role(
            post("/api/group/kick", groups::kick, "kickMember", "Puts a member of a lower role out")
                .takes(about_member()),
        ),
        in_role(
            post(
                "/api/group/admin",
                groups::admin,
                "setAdmin",
                "Makes a member an admin, or an admin a member",
            )
            .takes(
                about_member()
                    .into_iter()
                    .chain([field("isAdmin", flag(), "Which").example(true)])
                    .collect::<Vec<_>>(),
            ),
        ),
        post(
            "/api/group/transfer",
            groups::transfer,
            "transferGroup",
            "Makes another member the owner, and the owner an admin",
        )
        .takes(about_member())
        .refuses(&["forbidden", "not_a_member", "group_not_found", "oneself"]),
        in_role(
            post(
                "/api/group/mute",
                groups::mute,
                "muteMember",
                "Keeps a member of a lower role from writing",
            )
            .takes(
                about_member()
                    .into_iter()
                    .chain([
                        field("muteDuration", whole(1, MAX_MUTE_MINUTES), "For how many minutes").example(10)
                    ])
                    .collect::<Vec<_>>(),
            ),
        ),
        in_role(
            post("/api/group/unmute", groups::unmute, "unmuteMember", "Lets a member write again")
                .takes(about_member()),
        ),
        get("/api/group/user/{id}", groups::of_user, "getGroups", "The groups that one is in")
            .by_the_concerned()
            .takes([field("id", id(), "Oneself").example(1)])
            .gives(list(named("Group")))
            .refuses(&["forbidden"]),
        get(
            "/api/group/{id}",
            groups::get,
            "getGroup",
            "A group, for its members; a public one for everybody",
        )
        .takes([this()])
        .gives(named("Group"))
        .refuses(&FOR_MEMBERS),
        put("/api/group/{id}", groups::update, "updateGroup", "Changes a group's data")
            .takes([this(), name().optional()].into_iter().chain(data()).collect::<Vec<_>>())
            .gives(named("Group"))
            .refuses(&["invalid_payload", "forbidden", "not_a_member", "group_not_found"]),
        in_role(
            delete("/api/group/{id}", groups::dissolve, "dissolveGroup", "Ends one's group").takes([this()]),
        ),
        get("/api/group/{id}/members", groups::members, "getMembers", "The members of a group, by id")
            .takes([
                this(),
                field("after", whole(0, MAX_ID), "Those with ids above this one").optional(),
                field("limit", whole(1, MAX_SYNC_LIMIT.into()), "So many at most").optional(),
            ])
            .gives(list(named("Member")))
            .refuses(&FOR_MEMBERS),
        get("/api/group/{id}/member/{userId}", groups::is_member, "isMember", "Whether a user is in a group")
            .by_the_concerned()
            .takes([this(), field("userId", id(), "The user").example(2)])
            .gives(flag())
            .refuses(&FOR_MEMBERS),
    ]
}

fn which() -> Field {
    field("groupId", id(), "The group").example(1)
}

fn this() -> Field {
    field("id", id(), "The group").example(1)
}
