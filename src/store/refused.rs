//! The rules that are checked where the data is, in the transaction that changes it: what a user is told who breaks one.

use super::Timestamp;

/// Why something was not done. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// There is no such group, or it was dissolved.
    #[error("there is no such group")]
    GroupNotFound,
    /// Not a member of the group, whether the one who acts or the one who is acted upon.
    #[error("not a member of the group")]
    NotAMember,
    /// A member of the group already.
    #[error("a member of the group already")]
    AlreadyAMember,
    /// More members than the group may have.
    #[error("the group is full")]
    GroupFull,
    /// A user would be in more groups than one may be in.
    #[error("a user is in as many groups as one can be in")]
    TooManyGroups,
    /// The owner of a group cannot leave it.
    #[error("the owner cannot leave the group: hand it over or dissolve it")]
    OwnerCannotLeave,
    /// Not to write in the group until then.
    #[error("muted in this group until {0}")]
    Muted(Timestamp),
    /// It takes more rights than one has.
    #[error("you may not do this")]
    Forbidden,
    /// There is no such message.
    #[error("there is no such message")]
    MessageNotFound,
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// Somebody has this user name, or it is somebody's phone number or e-mail address.
    #[error("this user name is taken")]
    UsernameTaken,
    /// Somebody has this phone number.
    #[error("this phone number is taken")]
    PhoneTaken,
    /// Somebody has this e-mail address.
    #[error("this e-mail address is taken")]
    EmailTaken,
    /// Two different users are needed.
    #[error("this cannot be done with oneself")]
    Oneself,
    /// They are friends.
    #[error("you are friends already")]
    AlreadyFriends,
    /// They are not friends.
    #[error("you are not friends")]
    NotFriends,
    /// There is no such request.
    #[error("there is no such friend request")]
    RequestNotFound,
    /// The other user does not want it.
    #[error("this user has blocked you")]
    Blocked,
}

impl Refused {
    /// The machine-readable code that clients see.
    pub fn code(self) -> &'static str {
        match self {
            Self::GroupNotFound => "group_not_found",
            Self::NotAMember => "not_a_member",
            Self::AlreadyAMember => "already_a_member",
            Self::GroupFull => "group_full",
            Self::TooManyGroups => "too_many_groups",
            Self::OwnerCannotLeave => "owner_cannot_leave",
            Self::Muted(_) => "muted",
            Self::Forbidden => "forbidden",
            Self::MessageNotFound => "message_not_found",
            Self::UserNotFound => "user_not_found",
            Self::UsernameTaken => "username_taken",
            Self::PhoneTaken => "phone_taken",
            Self::EmailTaken => "email_taken",
            Self::Oneself => "oneself",
            Self::AlreadyFriends => "already_friends",
            Self::NotFriends => "not_friends",
            Self::RequestNotFound => "request_not_found",
            Self::Blocked => "blocked",
        }
    }
}
