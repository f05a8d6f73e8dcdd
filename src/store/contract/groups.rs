//! Groups: who is in, and who may do what.

use super::{assert_refused, at, read, say, try_write, write};
use crate::store::groups::{self, Group, GroupChange, NewGroup, Role};
use crate::store::{Conversation, Refused, Store, StoreExt as _, Target};

fn new(members: &[u64], is_public: bool) -> NewGroup {
    NewGroup {
        name: "climbing".into(),
        description: Some("on Tuesdays".into()),
        avatar: None,
        owner_id: 1,
        member_ids: members.to_vec(),
        max_members: 5,
        is_public,
    }
}

async fn create(store: &dyn Store, members: &[u64], is_public: bool) -> u64 {
    let new = new(members, is_public);
    write!(store, groups::create(new.clone(), at(0))).id
}

async fn roles(store: &dyn Store, group: u64) -> Vec<(u64, Role)> {
    let members = read!(store, groups::members(group, 0, 100));
    members.iter().map(|member| (member.user_id, member.role)).collect()
}

pub async fn a_new_group(store: &dyn Store) {
    // The owner, and somebody twice.
    let created = write!(store, groups::create(new(&[3, 2, 1, 3], false), at(5)));
    let expected = Group {
        id: created.id,
        name: "climbing".into(),
        description: Some("on Tuesdays".into()),
        avatar: None,
        owner_id: 1,
        member_count: 3,
        max_members: 5,
        is_public: false,
        created_at: at(5),
    };
    assert_eq!(created, expected);
    let id = created.id;
    assert_eq!(read!(store, groups::get(id)), Some(expected));
    assert_eq!(roles(store, id).await, [(1, Role::Owner), (2, Role::Member), (3, Role::Member)]);
    let owner = read!(store, groups::member(id, 1)).unwrap();
    assert_eq!((owner.joined_at, owner.muted_until), (at(5), None));
    assert_eq!(read!(store, groups::member(id, 4)), None);
    let none = id + 1;
    assert_eq!(read!(store, groups::get(none)), None);
    assert_ne!(create(store, &[], true).await, id);
}

pub async fn data_is_changed_by_admins(store: &dyn Store) {
    let id = create(store, &[2, 3], false).await;
    write!(store, groups::set_admin(id, 1, 2, true));
    let name = || GroupChange { name: Some("bouldering".into()), ..GroupChange::default() };
    let rest = || GroupChange {
        name: None,
        description: Some("on Fridays".into()),
        avatar: Some("/a.png".into()),
        max_members: Some(9),
        is_public: Some(true),
    };
    assert_refused(try_write!(store, groups::update(id, 3, name())), Refused::Forbidden);
    assert_refused(try_write!(store, groups::update(id, 4, name())), Refused::NotAMember);
    let none = id + 1;
    assert_refused(try_write!(store, groups::update(none, 1, name())), Refused::GroupNotFound);
    write!(store, groups::update(id, 2, name()));
    let group = write!(store, groups::update(id, 1, rest()));
    assert_eq!(
        (group.name.as_str(), group.description.as_deref(), group.avatar.as_deref()),
        ("bouldering", Some("on Fridays"), Some("/a.png"))
    );
    assert_eq!((group.max_members, group.is_public, group.member_count), (9, true, 3));
    assert_eq!(read!(store, groups::get(id)), Some(group));
}

pub async fn public_groups_are_joined(store: &dyn Store) {
    let (public, closed) = (create(store, &[], true).await, create(store, &[], false).await);
    write!(store, groups::join(public, 2, at(7)));
    let member = read!(store, groups::member(public, 2)).unwrap();
    assert_eq!((member.role, member.joined_at), (Role::Member, at(7)));
    assert_refused(try_write!(store, groups::join(public, 2, at(8))), Refused::AlreadyAMember);
    assert_refused(try_write!(store, groups::join(closed, 2, at(8))), Refused::Forbidden);
    let none = closed + 1;
    assert_refused(try_write!(store, groups::join(none, 2, at(8))), Refused::GroupNotFound);
}

pub async fn members_invite(store: &dyn Store) {
    let (public, closed) = (create(store, &[2], true).await, create(store, &[2], false).await);
    // Those who were there before are passed over.
    let users = || vec![4, 2, 3];
    assert_eq!(write!(store, groups::invite(public, 2, users(), at(0))), [3, 4]);
    assert_eq!(write!(store, groups::invite(public, 2, users(), at(0))), [0; 0]);
    assert_refused(try_write!(store, groups::invite(public, 9, users(), at(0))), Refused::NotAMember);
    assert_refused(try_write!(store, groups::invite(closed, 2, users(), at(0))), Refused::Forbidden);
    write!(store, groups::set_admin(closed, 1, 2, true));
    assert_eq!(write!(store, groups::invite(closed, 2, users(), at(0))), [3, 4]);
}

pub async fn a_group_has_room_for_so_many(store: &dyn Store) {
    let result = try_write!(store, groups::create(new(&[2, 3, 4, 5, 6], true), at(0)));
    assert_refused(result, Refused::GroupFull);
    let id = create(store, &[2, 3], true).await;
    // All or none.
    let users = || vec![4, 5, 6];
    assert_refused(try_write!(store, groups::invite(id, 1, users(), at(0))), Refused::GroupFull);
    let users = || vec![3, 4, 5];
    write!(store, groups::invite(id, 1, users(), at(0)));
    assert_refused(try_write!(store, groups::join(id, 6, at(0))), Refused::GroupFull);
    assert_eq!(read!(store, groups::member_ids(id)), [1, 2, 3, 4, 5]);
    // Nobody new is always possible.
    assert_eq!(write!(store, groups::invite(id, 1, users(), at(0))), [0; 0]);
    write!(store, groups::leave(id, 5, at(0)));
    write!(store, groups::join(id, 6, at(0)));
}

pub async fn concurrent_joins_fill_a_group_exactly(store: &dyn Store) {
    let id = create(store, &[], true).await;
    let answers: Vec<_> =
        (2..=20).map(|user| store.writing(move |tx| Box::pin(groups::join(tx, id, user, at(0))))).collect();
    let mut joined = 0;
    for answer in answers {
        match answer.await {
            Ok(()) => joined += 1,
            refused => assert_refused(refused, Refused::GroupFull),
        }
    }
    assert_eq!(joined, 4);
    assert_eq!(read!(store, groups::member_ids(id)).len(), 5);
}

pub async fn leaving_and_throwing_out(store: &dyn Store) {
    let id = create(store, &[2, 3, 4], true).await;
    write!(store, groups::leave(id, 2, at(0)));
    assert_refused(try_write!(store, groups::leave(id, 2, at(0))), Refused::NotAMember);
    assert_refused(try_write!(store, groups::leave(id, 1, at(0))), Refused::OwnerCannotLeave);
    write!(store, groups::kick(id, 1, 3, at(0)));
    assert_refused(try_write!(store, groups::kick(id, 1, 3, at(0))), Refused::NotAMember);
    assert_refused(try_write!(store, groups::kick(id, 3, 4, at(0))), Refused::NotAMember);
    assert_refused(try_write!(store, groups::kick(id, 1, 1, at(0))), Refused::Forbidden);
    assert_eq!(read!(store, groups::member_ids(id)), [1, 4]);
    // The way back is open.
    write!(store, groups::join(id, 3, at(0)));
}

pub async fn roles_and_their_powers(store: &dyn Store) {
    // 1 is the owner, 2 and 3 are admins, 4 and 5 are members.
    let id = create(store, &[2, 3, 4, 5], false).await;
    for admin in [2, 3] {
        write!(store, groups::set_admin(id, 1, admin, true));
    }
    for (by, user, refused) in [
        (2, 1, Some(Refused::Forbidden)),
        (2, 3, Some(Refused::Forbidden)),
        (2, 2, Some(Refused::Forbidden)),
        (4, 5, Some(Refused::Forbidden)),
        (4, 4, Some(Refused::Forbidden)),
        (4, 1, Some(Refused::Forbidden)),
        (9, 4, Some(Refused::NotAMember)),
        (2, 9, Some(Refused::NotAMember)),
        (2, 4, None),
        (1, 3, None),
    ] {
        for result in [
            try_write!(store, groups::mute(id, by, user, Some(at(9)))),
            try_write!(store, groups::mute(id, by, user, None)),
            try_write!(store, groups::kick(id, by, user, at(0))),
        ] {
            match refused {
                Some(refused) => assert_refused(result, refused),
                None => result.unwrap_or_else(|error| panic!("{by} may do it to {user}: {error}")),
            }
        }
    }
    assert_eq!(roles(store, id).await, [(1, Role::Owner), (2, Role::Admin), (5, Role::Member)]);
    for by in [2, 5] {
        assert_refused(try_write!(store, groups::set_admin(id, by, 5, true)), Refused::Forbidden);
    }
    assert_refused(try_write!(store, groups::set_admin(id, 1, 1, false)), Refused::Forbidden);
    write!(store, groups::set_admin(id, 1, 2, false));
    assert_eq!(roles(store, id).await, [(1, Role::Owner), (2, Role::Member), (5, Role::Member)]);
}

pub async fn muted_members_do_not_write(store: &dyn Store) {
    let id = create(store, &[2], true).await;
    write!(store, groups::mute(id, 1, 2, Some(at(10))));
    assert_eq!(read!(store, groups::member(id, 2)).unwrap().muted_until, Some(at(10)));
    let may_write = async |group: u64, user: u64, minute: i64| {
        store.reading(move |tx| Box::pin(groups::may_write(tx, group, user, at(minute)))).await
    };
    assert_refused(may_write(id, 2, 9).await, Refused::Muted(at(10)));
    assert_eq!(may_write(id, 2, 10).await, Ok(()));
    write!(store, groups::mute(id, 1, 2, None));
    assert_eq!(may_write(id, 2, 9).await, Ok(()));
    assert_eq!(may_write(id, 1, 9).await, Ok(()));
    assert_refused(may_write(id, 3, 9).await, Refused::NotAMember);
    assert_refused(may_write(id + 1, 1, 9).await, Refused::GroupNotFound);
}

pub async fn a_mute_outlasts_the_membership(store: &dyn Store) {
    let muted_until = async |id, user| read!(store, groups::member(id, user)).unwrap().muted_until;
    let (id, other) = (create(store, &[2, 3], true).await, create(store, &[2], true).await);
    for user in [2, 3] {
        write!(store, groups::mute(id, 1, user, Some(at(10))));
    }
    write!(store, groups::leave(id, 2, at(1)));
    write!(store, groups::kick(id, 1, 3, at(1)));
    for user in [2, 3] {
        write!(store, groups::join(id, user, at(2)));
        assert_eq!(muted_until(id, user).await, Some(at(10)), "user {user}");
    }
    assert_eq!(muted_until(other, 2).await, None, "in another group");
    // Again, and unmuted afterwards: that is the end of it.
    write!(store, groups::leave(id, 2, at(3)));
    write!(store, groups::invite(id, 1, vec![2, 4], at(4)));
    assert_eq!((muted_until(id, 2).await, muted_until(id, 4).await), (Some(at(10)), None));
    write!(store, groups::mute(id, 1, 2, None));
    write!(store, groups::leave(id, 2, at(5)));
    write!(store, groups::join(id, 2, at(6)));
    assert_eq!(muted_until(id, 2).await, None);
    // And one that is over when its user comes back.
    write!(store, groups::leave(id, 3, at(7)));
    write!(store, groups::join(id, 3, at(11)));
    assert_eq!(muted_until(id, 3).await, None);
}

pub async fn a_user_is_in_so_many_groups(store: &dyn Store) {
    for _ in 0..3 {
        create(store, &[2], true).await;
    }
    let last = create(store, &[], true).await;
    read!(store, groups::check_room_for(&[1, 2, 3], 4));
    assert_refused(try_write!(store, groups::check_room_for(&[3, 1], 3)), Refused::TooManyGroups);
    read!(store, groups::check_room_for(&[2, 3], 3));
    // What is refused is undone.
    let joined = store.writing(move |tx| {
        Box::pin(async move {
            groups::join(tx, last, 2, at(0)).await?;
            groups::check_room_for(tx, &[2], 3).await
        })
    });
    assert_refused(joined.await, Refused::TooManyGroups);
    assert_eq!(read!(store, groups::member_ids(last)), [1]);
}

pub async fn a_group_is_handed_over(store: &dyn Store) {
    let id = create(store, &[2, 3], true).await;
    assert_refused(try_write!(store, groups::transfer(id, 2, 3)), Refused::Forbidden);
    assert_refused(try_write!(store, groups::transfer(id, 1, 9)), Refused::NotAMember);
    assert_refused(try_write!(store, groups::transfer(id, 1, 1)), Refused::Oneself);
    write!(store, groups::transfer(id, 1, 2));
    assert_eq!(read!(store, groups::get(id)).unwrap().owner_id, 2);
    assert_eq!(roles(store, id).await, [(1, Role::Admin), (2, Role::Owner), (3, Role::Member)]);
    write!(store, groups::leave(id, 1, at(0)));
}

pub async fn a_dissolved_group_is_none(store: &dyn Store) {
    let id = create(store, &[2, 3], true).await;
    say(store, 2, Target::Group(id), "stays").await;
    assert_refused(try_write!(store, groups::dissolve(id, 2, at(1))), Refused::Forbidden);
    assert_eq!(write!(store, groups::dissolve(id, 1, at(1))), [1, 2, 3]);
    assert_eq!(read!(store, groups::get(id)), None);
    assert_eq!(read!(store, groups::of_user(1)), []);
    assert_eq!(read!(store, groups::member_ids(id)), [0; 0]);
    assert_refused(try_write!(store, groups::dissolve(id, 1, at(1))), Refused::GroupNotFound);
    assert_refused(try_write!(store, groups::join(id, 4, at(1))), Refused::GroupNotFound);
    assert_refused(try_write!(store, groups::may_write(id, 2, at(1))), Refused::GroupNotFound);
    assert_eq!(store.sync(Conversation::Group(id), 0, 10).await.unwrap().messages.len(), 1);
    assert_ne!(create(store, &[], true).await, id, "its number is not given again");
}

pub async fn groups_of_users(store: &dyn Store) {
    let (a, b, c) =
        (create(store, &[2], true).await, create(store, &[2, 3], true).await, create(store, &[], true).await);
    let ids =
        |groups: Vec<Group>| groups.iter().map(|group| (group.id, group.member_count)).collect::<Vec<_>>();
    assert_eq!(ids(read!(store, groups::of_user(2))), [(a, 2), (b, 3)]);
    assert_eq!(ids(read!(store, groups::of_user(1))), [(a, 2), (b, 3), (c, 1)]);
    assert_eq!(ids(read!(store, groups::of_user(9))), []);
    let mut pairs = read!(store, groups::of_users(vec![2, 3, 9]));
    pairs.sort_unstable();
    assert_eq!(pairs, [(2, a), (2, b), (3, b)]);
    assert_eq!(read!(store, groups::of_users((2..2000).collect())).len(), 3);
    assert_eq!(read!(store, groups::of_users(Vec::new())), []);
}

pub async fn members_page_by_page(store: &dyn Store) {
    let many = NewGroup { max_members: 3000, ..new(&(2..=1500).collect::<Vec<_>>(), true) };
    let id = write!(store, groups::create(many.clone(), at(0))).id;
    assert_eq!(read!(store, groups::get(id)).unwrap().member_count, 1500);
    let mut users = Vec::new();
    loop {
        let after = users.last().copied().unwrap_or(0);
        let page = read!(store, groups::members(id, after, 700));
        if page.is_empty() {
            break;
        }
        users.extend(page.iter().map(|member| member.user_id));
    }
    assert_eq!(users, (1..=1500).collect::<Vec<_>>());
    assert_eq!(read!(store, groups::member_ids(id)), users);
}
