//! Groups: the store decides who may do what, and what was done takes effect on every node at once: in the rooms that
//! members are in, and as `group_event` to the members.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Im;
use super::answer::Refusal;
use super::identity::User;
use super::room::Room;
use super::ties::Change;
use crate::store::groups::{self, Group, GroupChange, Member, NewGroup};
use crate::store::sql::{SqlFuture, Tx};
use crate::store::{StoreExt as _, Timestamp};

/// The longest name of a group, in characters.
pub const MAX_NAME_CHARS: usize = 100;
/// The longest description or picture URL, in characters.
pub const MAX_TEXT_CHARS: usize = 2000;

/// A group to be created.
#[derive(Clone, Debug)]
pub struct Create {
    /// Its name, 1 to 100 characters.
    pub name: String,
    /// What it is about.
    pub description: Option<String>,
    /// Where its picture is.
    pub avatar: Option<String>,
    /// Who is in it from the start, beside its owner.
    pub members: Vec<u64>,
    /// Whether everybody may join, and every member invite.
    pub is_public: bool,
    /// The most members that it may have.
    pub max_members: Option<u32>,
}

impl Im {
    /// Creates a group, owned by `user`.
    ///
    /// # Errors
    /// The name is too long, or there are too many members, or one of them is in too many groups.
    pub async fn create_group(self: &Arc<Self>, user: User, create: Create) -> Result<Group, Refusal> {
        check_texts(Some(&create.name), create.description.as_ref(), create.avatar.as_ref())?;
        let limit = self.options.max_group_members;
        let new = NewGroup {
            name: create.name,
            description: create.description,
            avatar: create.avatar,
            owner_id: user.id(),
            max_members: self.checked_maximum(create.max_members)?.unwrap_or(limit),
            is_public: create.is_public,
            member_ids: create.members,
        };
        let im = self.clone();
        self.wholly(async move {
            let limit = im.options.max_groups;
            let created = im.write(move |tx, now| {
                let new = new.clone();
                Box::pin(async move {
                    let group = groups::create(tx, new, now).await?;
                    let members = groups::member_ids(tx, group.id).await?;
                    groups::check_room_for(tx, &members, limit).await?;
                    Ok((group, members))
                })
            });
            let (group, members) = created.await?;
            let id = group.id;
            im.change(Change::Members { users: members.clone(), group: id }).await;
            im.tell_group(id, &members, "created", user, json!({ "group": group, "userIds": members }));
            Ok(group)
        })
        .await
    }

    /// Changes a group's data.
    ///
    /// # Errors
    /// `user` is no admin of it, or a text is too long.
    pub async fn update_group(&self, user: User, id: u64, change: GroupChange) -> Result<Group, Refusal> {
        check_texts(change.name.as_ref(), change.description.as_ref(), change.avatar.as_ref())?;
        self.checked_maximum(change.max_members)?;
        let by = user.id();
        let group = self.write(move |tx, _| Box::pin(groups::update(tx, id, by, change.clone()))).await?;
        self.tell_group(id, &[], "updated", user, json!({ "group": group }));
        Ok(group)
    }

    /// Ends a group.
    ///
    /// # Errors
    /// `user` is not its owner.
    pub async fn dissolve_group(self: &Arc<Self>, user: User, id: u64) -> Result<(), Refusal> {
        let (im, by) = (self.clone(), user.id());
        self.wholly(async move {
            let members = im.write(move |tx, now| Box::pin(groups::dissolve(tx, id, by, now))).await?;
            im.tell_group(id, &[], "dissolved", user, json!({}));
            im.change(Change::Members { users: members.clone(), group: id }).await;
            Ok(())
        })
        .await
    }

    /// Joins a public group.
    ///
    /// # Errors
    /// It is not public, or full, or `user` is in too many groups.
    pub async fn join_group(self: &Arc<Self>, user: User, id: u64) -> Result<(), Refusal> {
        let (im, who) = (self.clone(), user.id());
        self.wholly(async move {
            let limit = im.options.max_groups;
            im.write(move |tx, now| {
                Box::pin(async move {
                    groups::join(tx, id, who, now).await?;
                    groups::check_room_for(tx, &[who], limit).await
                })
            })
            .await?;
            im.change(Change::Members { users: vec![who], group: id }).await;
            im.tell_group(id, &[who], "member_joined", user, json!({ "userIds": [who] }));
            Ok(())
        })
        .await
    }

    /// Leaves a group.
    ///
    /// # Errors
    /// `user` owns it, or is not in it.
    pub async fn leave_group(self: &Arc<Self>, user: User, id: u64) -> Result<(), Refusal> {
        let (im, who) = (self.clone(), user.id());
        self.wholly(async move {
            im.write(move |tx, now| Box::pin(groups::leave(tx, id, who, now))).await?;
            im.tell_group(id, &[who], "member_left", user, json!({ "userIds": [who] }));
            im.change(Change::Members { users: vec![who], group: id }).await;
            Ok(())
        })
        .await
    }

    /// Brings users into a group. Gives those who were not in it before.
    ///
    /// # Errors
    /// `user` may not invite, or the group would be too large, or one of them is in too many groups.
    pub async fn invite(self: &Arc<Self>, user: User, id: u64, users: Vec<u64>) -> Result<Vec<u64>, Refusal> {
        let (im, by) = (self.clone(), user.id());
        self.wholly(async move {
            let limit = im.options.max_groups;
            let invited = im.write(move |tx, now| {
                let users = users.clone();
                Box::pin(async move {
                    let new = groups::invite(tx, id, by, users, now).await?;
                    groups::check_room_for(tx, &new, limit).await?;
                    Ok(new)
                })
            });
            let new = invited.await?;
            if !new.is_empty() {
                im.change(Change::Members { users: new.clone(), group: id }).await;
                im.tell_group(id, &new, "member_joined", user, json!({ "userIds": new }));
            }
            Ok(new)
        })
        .await
    }

    /// Puts a member out.
    ///
    /// # Errors
    /// `user` may not.
    pub async fn kick_member(self: &Arc<Self>, user: User, id: u64, member: u64) -> Result<(), Refusal> {
        let (im, by) = (self.clone(), user.id());
        self.wholly(async move {
            im.write(move |tx, now| Box::pin(groups::kick(tx, id, by, member, now))).await?;
            im.tell_group(id, &[member], "member_kicked", user, json!({ "userIds": [member] }));
            im.change(Change::Members { users: vec![member], group: id }).await;
            Ok(())
        })
        .await
    }

    /// Makes a member an admin, or an admin a member.
    ///
    /// # Errors
    /// `user` is not the owner.
    pub async fn set_admin(&self, user: User, id: u64, member: u64, is_admin: bool) -> Result<(), Refusal> {
        let by = user.id();
        self.write(move |tx, _| Box::pin(groups::set_admin(tx, id, by, member, is_admin))).await?;
        let what = json!({ "userIds": [member], "isAdmin": is_admin });
        self.tell_group(id, &[member], "admin_changed", user, what);
        Ok(())
    }

    /// Makes another member the owner, and the owner an admin.
    ///
    /// # Errors
    /// `user` is not the owner, or the other one is no member.
    pub async fn hand_over(&self, user: User, id: u64, member: u64) -> Result<(), Refusal> {
        let by = user.id();
        self.write(move |tx, _| Box::pin(groups::transfer(tx, id, by, member))).await?;
        self.tell_group(id, &[member], "owner_changed", user, json!({ "userIds": [member] }));
        Ok(())
    }

    /// Keeps a member from writing until then, also when the member leaves and comes back; `None` lets the member write again.
    ///
    /// # Errors
    /// `user` may not.
    pub async fn mute(
        &self,
        user: User,
        id: u64,
        member: u64,
        until: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        let by = user.id();
        self.write(move |tx, _| Box::pin(groups::mute(tx, id, by, member, until))).await?;
        let event = if until.is_some() { "member_muted" } else { "member_unmuted" };
        self.tell_group(id, &[member], event, user, json!({ "userIds": [member], "mutedUntil": until }));
        Ok(())
    }

    /// A group, for its members, and for all if it is public.
    ///
    /// # Errors
    /// There is none, or `user` may not see it.
    pub async fn group(&self, user: User, id: u64) -> Result<Group, Refusal> {
        let who = user.id();
        let found = self
            .store
            .reading(move |tx| {
                Box::pin(async move {
                    Ok((groups::get(tx, id).await?, groups::member(tx, id, who).await?.is_some()))
                })
            })
            .await?;
        match found {
            (Some(group), is_member) if is_member || group.is_public => Ok(group),
            (Some(_), _) => Err(Refusal::new("not_a_member", "this group is for its members only")),
            (None, _) => Err(Refusal::new("group_not_found", "there is no such group")),
        }
    }

    /// Members of a group with ids above `after`, for those who may see it.
    ///
    /// # Errors
    /// There is none, or `user` may not see it.
    pub async fn group_members(
        &self,
        user: User,
        id: u64,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Member>, Refusal> {
        self.group(user, id).await?;
        Ok(self.store.reading(move |tx| Box::pin(groups::members(tx, id, after, limit))).await?)
    }

    /// The groups that a user is in.
    ///
    /// # Errors
    /// The store is away.
    pub async fn groups_of(&self, user: User) -> Result<Vec<Group>, Refusal> {
        let who = user.id();
        Ok(self.store.reading(move |tx| Box::pin(groups::of_user(tx, who))).await?)
    }

    /// Whether somebody is a member of a group, for those who may see it, and for the user who asks about nobody else.
    ///
    /// # Errors
    /// There is no such group, or `user` may not see it.
    pub async fn is_member(&self, user: User, id: u64, who: u64) -> Result<bool, Refusal> {
        match self.group(user, id).await {
            Err(refusal) if refusal.code == "not_a_member" && user.id() == who => return Ok(false),
            seen => _ = seen?,
        }
        Ok(self.store.reading(move |tx| Box::pin(groups::member(tx, id, who))).await?.is_some())
    }

    /// A transaction that is given the time.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut dyn Tx, Timestamp) -> SqlFuture<'t, T> + Send + Sync + 'static,
    {
        let now = Timestamp::now();
        Ok(self.store.writing(move |tx| work(tx, now)).await?)
    }

    /// Sends `group_event` to a group's members, and to those who are about to be, or no longer are.
    fn tell_group(&self, id: u64, concerned: &[u64], kind: &str, by: User, more: Value) {
        let mut event = json!({ "groupId": id, "type": kind, "operatorId": by.id() });
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.extend(more);
        }
        let members = self.io.to(Room::Group(id).to_string());
        let all = concerned.iter().fold(members, |all, user| all.to(Room::User(*user).to_string()));
        self.tell_clients(&all, "group_event", event);
    }

    fn checked_maximum(&self, maximum: Option<u32>) -> Result<Option<u32>, Refusal> {
        let limit = self.options.max_group_members;
        match maximum {
            Some(maximum) if !(2..=limit).contains(&maximum) => {
                let message = format!("maxMembers is {maximum}, allowed are 2 to {limit}");
                Err(Refusal::new("invalid_payload", message))
            }
            maximum => Ok(maximum),
        }
    }
}

fn check_texts(
    name: Option<&String>,
    description: Option<&String>,
    avatar: Option<&String>,
) -> Result<(), Refusal> {
    let texts = [
        ("name", name, 1, MAX_NAME_CHARS),
        ("description", description, 0, MAX_TEXT_CHARS),
        ("avatar", avatar, 0, MAX_TEXT_CHARS),
    ];
    for (what, text, least, most) in texts {
        let chars = text.map(|text| text.chars().count());
        if chars.is_some_and(|chars| !(least..=most).contains(&chars)) {
            let message = format!("{what} must have {least} to {most} characters");
            return Err(Refusal::new("invalid_payload", message));
        }
    }
    Ok(())
}
