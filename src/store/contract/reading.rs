//! Read positions, and what is unread.

use super::{all, assert_refused, at, read, say, try_write, write};
use crate::store::groups::{self, NewGroup};
use crate::store::read_positions::{self, Moved};
use crate::store::{Conversation, MessageKey, NewMessage, Refused, Store, StoreExt as _, Target};

const PRIVATE: Conversation = Conversation::Private { low: 1, high: 2 };

/// A public group of users 1, 2 and 3.
async fn group(store: &dyn Store) -> u64 {
    let new = NewGroup {
        name: "g".into(),
        description: None,
        avatar: None,
        owner_id: 1,
        member_ids: vec![2, 3],
        max_members: 100,
        is_public: true,
    };
    write!(store, groups::create(new.clone(), at(0))).id
}

pub async fn a_position_moves_forward_only(store: &dyn Store) {
    for n in 0..5 {
        say(store, 1, Target::User(2), &n.to_string()).await;
    }
    for (seq, moved) in [(0, None), (2, Some((0, 2))), (2, None), (1, None), (4, Some((2, 4))), (0, None)] {
        let expected = moved.map(|(from, to)| Moved { conversation: PRIVATE, from, to });
        assert_eq!(write!(store, read_positions::mark_read(2, PRIVATE, seq, at(0))), expected, "mark {seq}");
    }
    assert_eq!(read!(store, read_positions::get(2, PRIVATE)), 4);
    assert_eq!(read!(store, read_positions::get(1, PRIVATE)), 0, "the other side has its own");
}

pub async fn a_position_stays_within_the_conversation(store: &dyn Store) {
    assert_eq!(write!(store, read_positions::mark_read(2, PRIVATE, 7, at(0))), None);
    assert_eq!(read!(store, read_positions::get(2, PRIVATE)), 0);
    say(store, 1, Target::User(2), "x").await;
    let moved = write!(store, read_positions::mark_read(2, PRIVATE, u64::MAX, at(0)));
    assert_eq!(moved, Some(Moved { conversation: PRIVATE, from: 0, to: 1 }));
    say(store, 1, Target::User(2), "new").await;
    assert_eq!(read!(store, read_positions::unread(2, PRIVATE)), 1);
}

pub async fn only_who_takes_part_reads(store: &dyn Store) {
    let group = group(store).await;
    say(store, 1, Target::User(2), "x").await;
    say(store, 1, Target::Group(group), "x").await;
    let group = Conversation::Group(group);
    assert_refused(try_write!(store, read_positions::mark_read(3, PRIVATE, 1, at(0))), Refused::Forbidden);
    assert_refused(try_write!(store, read_positions::mark_read(4, group, 1, at(0))), Refused::NotAMember);
    assert!(write!(store, read_positions::mark_read(3, group, 1, at(0))).is_some());
}

pub async fn marking_by_messages(store: &dyn Store) {
    let group = group(store).await;
    let mut keys = Vec::new();
    for target in [Target::User(2), Target::Group(group), Target::User(9)] {
        for n in 1..=3 {
            let message = say(store, 1, target, "x").await;
            // The first two of each, by either name.
            match n {
                1 => keys.push(MessageKey::Id(message.id)),
                2 => keys.push(message.message_id.parse().unwrap()),
                _ => {}
            }
        }
    }
    keys.push(MessageKey::Id(999_999));
    keys.reverse();
    let again = keys.clone();
    let moved = write!(store, read_positions::mark_messages_read(2, keys.clone(), at(0)));
    let to_two = |conversation| Moved { conversation, from: 0, to: 2 };
    assert_eq!(
        moved,
        [to_two(PRIVATE), to_two(Conversation::Group(group))],
        "not the conversation of 1 and 9"
    );
    assert_eq!(write!(store, read_positions::mark_messages_read(2, again.clone(), at(0))), []);
    assert_eq!(write!(store, read_positions::mark_messages_read(2, Vec::new(), at(0))), []);
}

pub async fn a_private_message_is_read_by_its_recipient(store: &dyn Store) {
    for from in [1, 2, 1, 2] {
        say(store, from, Target::User(3 - from), "x").await;
    }
    let read_flags = async || all(store, PRIVATE).await.iter().map(|m| m.is_read).collect::<Vec<_>>();
    assert_eq!(read_flags().await, [false; 4]);
    write!(store, read_positions::mark_read(2, PRIVATE, 3, at(0)));
    assert_eq!(read_flags().await, [true, false, true, false], "user 2 has read what user 1 wrote");
    write!(store, read_positions::mark_read(1, PRIVATE, 2, at(0)));
    assert_eq!(read_flags().await, [true, true, true, false]);

    let group = group(store).await;
    say(store, 1, Target::Group(group), "x").await;
    for user in 1..=3 {
        write!(store, read_positions::mark_read(user, Conversation::Group(group), 1, at(0)));
    }
    assert!(!all(store, Conversation::Group(group)).await[0].is_read, "a group's messages have no recipient");
}

pub async fn own_messages_are_not_unread(store: &dyn Store) {
    for from in [1, 1, 2, 1, 2] {
        say(store, from, Target::User(3 - from), "x").await;
    }
    assert_eq!(read!(store, read_positions::unread(2, PRIVATE)), 3);
    assert_eq!(read!(store, read_positions::unread(1, PRIVATE)), 2);
    write!(store, read_positions::mark_read(1, PRIVATE, 3, at(0)));
    assert_eq!(read!(store, read_positions::unread(1, PRIVATE)), 1);
    write!(store, read_positions::mark_read(1, PRIVATE, 5, at(0)));
    assert_eq!(read!(store, read_positions::unread(1, PRIVATE)), 0);
    assert_eq!(read!(store, read_positions::unread(1, Conversation::Group(77))), 0);
    say(store, 5, Target::User(5), "note").await;
    assert_eq!(read!(store, read_positions::unread(5, Conversation::between(5, 5))), 0);
}

pub async fn unread_of_all_conversations(store: &dyn Store) {
    let group = group(store).await;
    for user in 3..=80 {
        for n in 0..user % 3 {
            say(store, user, Target::User(2), &n.to_string()).await;
        }
        say(store, 2, Target::User(user), "own").await;
    }
    for _ in 0..4 {
        say(store, 1, Target::Group(group), "x").await;
    }
    say(store, 1, Target::User(9), "of others").await;
    let read = Conversation::between(2, 4);
    write!(store, read_positions::mark_read(2, read, 1, at(0)));
    let mut unread = read!(store, read_positions::unread_all(2));
    unread.sort_unstable();
    let private = |user| Conversation::between(2, user);
    let mut expected: Vec<_> =
        (5..=80).filter(|user| user % 3 > 0).map(|user| (private(user), user % 3)).collect();
    expected.push((Conversation::Group(group), 4));
    assert_eq!(unread, expected);
    // Each for itself says the same.
    for (conversation, count) in unread {
        assert_eq!(read!(store, read_positions::unread(2, conversation)), count, "{conversation}");
    }
    assert_eq!(read!(store, read_positions::unread_all(1000)), []);
}

pub async fn unread_far_back(store: &dyn Store) {
    // The last 1000 places hold 500 own messages; of the 10 before that, none is told from the others.
    let answers: Vec<_> =
        (0..1010).map(|n| store.append(NewMessage::text(1 + n % 2, Target::User(2 - n % 2), "x"))).collect();
    for answer in answers {
        answer.await.unwrap();
    }
    assert_eq!(read!(store, read_positions::unread(1, PRIVATE)), 510);
    write!(store, read_positions::mark_read(1, PRIVATE, 10, at(0)));
    assert_eq!(read!(store, read_positions::unread(1, PRIVATE)), 500);
    write!(store, read_positions::mark_read(1, PRIVATE, 1000, at(0)));
    assert_eq!(read!(store, read_positions::unread(1, PRIVATE)), 5);
}

pub async fn members_count_for_themselves(store: &dyn Store) {
    let group = group(store).await;
    let conversation = Conversation::Group(group);
    for from in [1, 2, 1] {
        say(store, from, Target::Group(group), "x").await;
    }
    // Whoever comes later has nothing to catch up on.
    write!(store, groups::join(group, 4, at(1)));
    write!(store, groups::invite(group, 1, vec![5, 6], at(1)));
    say(store, 3, Target::Group(group), "x").await;
    write!(store, read_positions::mark_read(2, conversation, 3, at(2)));
    for (user, unread) in [(1, 2), (2, 1), (3, 3), (4, 1), (5, 1), (6, 1)] {
        assert_eq!(read!(store, read_positions::unread(user, conversation)), unread, "user {user}");
    }
    // Who comes back does not fall back.
    write!(store, groups::leave(group, 4, at(0)));
    say(store, 1, Target::Group(group), "x").await;
    write!(store, groups::join(group, 4, at(3)));
    assert_eq!(read!(store, read_positions::unread(4, conversation)), 0);
}

pub async fn concurrent_marks_end_at_the_greatest(store: &dyn Store) {
    const COUNT: u64 = 30;
    for _ in 0..COUNT {
        say(store, 1, Target::User(2), "x").await;
    }
    let answers: Vec<_> = (1..=COUNT)
        .map(|n| {
            // In no order.
            let seq = 1 + n * 7 % COUNT;
            store.writing(move |tx| Box::pin(read_positions::mark_read(tx, 2, PRIVATE, seq, at(0))))
        })
        .collect();
    let mut covered = 0;
    for answer in answers {
        covered += answer.await.unwrap().map_or(0, |moved| moved.to - moved.from);
    }
    assert_eq!(covered, COUNT, "the steps add up");
    assert_eq!(read!(store, read_positions::get(2, PRIVATE)), COUNT);
}
