//! The list of a user's conversations.

use super::{at, read, say, write};
use crate::store::groups::{self, NewGroup};
use crate::store::{Conversation, Store, StoreExt as _, Target, conversations, read_positions};

async fn group(store: &dyn Store, owner: u64, members: &[u64]) -> u64 {
    let new = NewGroup {
        name: "g".into(),
        description: None,
        avatar: None,
        owner_id: owner,
        member_ids: members.to_vec(),
        max_members: 100,
        is_public: false,
    };
    write!(store, groups::create(new.clone(), at(0))).id
}

pub async fn private_ones_and_groups_newest_first(store: &dyn Store) {
    let (spoken, silent) = (group(store, 1, &[2]).await, group(store, 1, &[2]).await);
    say(store, 1, Target::User(2), "old").await;
    say(store, 3, Target::User(1), "other side").await;
    let in_group = say(store, 2, Target::Group(spoken), "in the group").await;
    say(store, 2, Target::User(3), "none of 1's business").await;
    say(store, 2, Target::Group(999), "a group of others").await;
    let newest = say(store, 2, Target::User(1), "newest").await;
    write!(store, read_positions::mark_read(1, newest.conversation, 1, at(0)));

    let page = read!(store, conversations::list(1, None, 10));
    let list: Vec<_> = page
        .conversations
        .iter()
        .map(|c| (c.conversation, c.last_message.content.as_str(), c.last_seq, c.read_seq, c.unread_count))
        .collect();
    assert_eq!(
        list,
        [
            (Conversation::between(1, 2), "newest", 2, 1, 1),
            (Conversation::Group(spoken), "in the group", 1, 0, 1),
            (Conversation::between(1, 3), "other side", 1, 0, 1),
        ],
        "without group {silent}, which nobody has written to"
    );
    assert_eq!(page.conversations[0].last_message, newest);
    assert_eq!(page.conversations[1].last_message, in_group);
    assert_eq!(page.next_cursor, None);
    assert_eq!(read!(store, conversations::list(77, None, 10)).conversations, []);
}

pub async fn pages_follow_each_other(store: &dyn Store) {
    const COUNT: u64 = 10;
    for user in 2..2 + COUNT {
        say(store, user, Target::User(1), "x").await;
    }
    for size in [1, 3, 5, 9, 10, 11, u32::MAX] {
        let (mut cursor, mut users) = (None, Vec::new());
        loop {
            let page = read!(store, conversations::list(1, cursor, size));
            assert!(page.conversations.len() <= size as usize);
            users.extend(page.conversations.iter().map(|c| c.last_message.from_user_id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(users, (2..2 + COUNT).rev().collect::<Vec<_>>(), "in pages of {size}");
    }
}

pub async fn each_side_sees_its_own(store: &dyn Store) {
    say(store, 1, Target::User(2), "a").await;
    say(store, 1, Target::User(2), "b").await;
    write!(store, read_positions::mark_read(2, Conversation::between(1, 2), 1, at(0)));
    let one = read!(store, conversations::list(1, None, 10)).conversations;
    let two = read!(store, conversations::list(2, None, 10)).conversations;
    assert_eq!((one[0].read_seq, one[0].unread_count), (0, 0));
    assert_eq!((two[0].read_seq, two[0].unread_count), (1, 1));
    assert_eq!(one[0].last_message, two[0].last_message);
}

pub async fn leaving_a_group_takes_it_off_the_list(store: &dyn Store) {
    let group = group(store, 1, &[2]).await;
    say(store, 1, Target::Group(group), "x").await;
    let count = async |user: u64| read!(store, conversations::list(user, None, 10)).conversations.len();
    assert_eq!(count(2).await, 1);
    write!(store, groups::leave(group, 2, at(0)));
    assert_eq!((count(1).await, count(2).await), (1, 0));
    assert_eq!(read!(store, read_positions::unread_all(2)), []);
    let conversation = Conversation::Group(group);
    assert!(read!(store, conversations::takes_part(1, conversation)));
    assert!(!read!(store, conversations::takes_part(2, conversation)));
    write!(store, groups::dissolve(group, 1, at(1)));
    assert_eq!(count(1).await, 0);
}

pub async fn a_note_to_oneself_is_listed_once(store: &dyn Store) {
    say(store, 1, Target::User(1), "note").await;
    let list = read!(store, conversations::list(1, None, 10)).conversations;
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].conversation, list[0].unread_count), (Conversation::between(1, 1), 0));
}
