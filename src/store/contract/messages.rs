//! Stored messages, found and erased.

use super::{all, append, read, say, with_client_id, write};
use crate::store::messages::{self, Erasure, Start};
use crate::store::{
    Conversation, MAX_SYNC_LIMIT, Message, MessageKey, MessageType, NewMessage, Store, StoreExt as _, Target,
    Timestamp,
};

pub async fn a_message_is_found_by_each_name(store: &dyn Store) {
    for n in 0..3 {
        let message = say(store, 1, Target::User(2), &n.to_string()).await;
        let names = [message.id.to_string(), message.message_id.clone(), message.message_id.to_uppercase()];
        for name in names {
            let key: MessageKey = name.parse().unwrap();
            assert_eq!(read!(store, messages::get(key)).as_ref(), Some(&message), "{name}");
        }
    }
    for name in ["999999", "6f2a0b1c-0000-7000-8000-000000000001"] {
        let key: MessageKey = name.parse().unwrap();
        assert_eq!(read!(store, messages::get(key)), None);
    }
}

async fn talk(store: &dyn Store, count: u64) -> Conversation {
    let mut answers = Vec::new();
    for n in 1..=count {
        answers.push(store.append(NewMessage::text(1, Target::Group(1), n.to_string())));
        answers.push(store.append(NewMessage::text(1, Target::Group(2), "other")));
    }
    for answer in answers {
        answer.await.unwrap();
    }
    Conversation::Group(1)
}

fn seqs(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

pub async fn history_goes_back_page_by_page(store: &dyn Store) {
    let group = talk(store, 10).await;
    for (page, size, expected, has_more) in [
        (1, 4, vec![10, 9, 8, 7], true),
        (2, 4, vec![6, 5, 4, 3], true),
        (3, 4, vec![2, 1], false),
        (4, 4, vec![], false),
        (2, 5, vec![5, 4, 3, 2, 1], false),
        (0, 2, vec![10, 9], true),
        (u64::MAX, 100, vec![], false),
        (1, u32::MAX, (1..=10).rev().collect(), false),
    ] {
        let found = read!(store, messages::history(group, Start::Page(page), size));
        assert_eq!(seqs(&found.messages), expected, "page {page} of {size}");
        assert_eq!((found.total, found.has_more), (10, has_more), "page {page} of {size}");
    }
    let nothing = read!(store, messages::history(Conversation::Group(3), Start::Page(1), 10));
    assert_eq!((nothing.messages.len(), nothing.total, nothing.has_more), (0, 0, false));
}

pub async fn history_goes_back_from_a_place(store: &dyn Store) {
    let group = talk(store, 10).await;
    for (before, expected, has_more) in [
        (u64::MAX, vec![10, 9, 8], true),
        (11, vec![10, 9, 8], true),
        (8, vec![7, 6, 5], true),
        (4, vec![3, 2, 1], false),
        (3, vec![2, 1], false),
        (1, vec![], false),
        (0, vec![], false),
    ] {
        let found = read!(store, messages::history(group, Start::BeforeSeq(before), 3));
        assert_eq!(seqs(&found.messages), expected, "before {before}");
        assert_eq!((found.total, found.has_more), (10, has_more), "before {before}");
    }
}

pub async fn messages_of_all_conversations_by_id(store: &dyn Store) {
    assert_eq!(read!(store, messages::last_id()), 0);
    talk(store, 3).await;
    say(store, 1, Target::User(2), "last").await;
    let everything = read!(store, messages::committed_after(0, MAX_SYNC_LIMIT));
    assert_eq!(everything.len(), 7);
    assert!(everything.is_sorted_by_key(|message| message.id));
    assert_eq!(read!(store, messages::last_id()), everything[6].id);
    let after = everything[1].id;
    assert_eq!(read!(store, messages::committed_after(after, 3)), everything[2..5]);
    let after = everything[6].id;
    assert_eq!(read!(store, messages::committed_after(after, 3)), []);
}

pub async fn the_last_message_before_a_time(store: &dyn Store) {
    let group = talk(store, 3).await;
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let third = all(store, group).await[2].created_at;
    let since = Timestamp::from_unix_ms(third.unix_ms() + 1);
    talk(store, 3).await;
    for (seq, at, expected) in [
        // What was stored in this millisecond is before the next one.
        (7, Timestamp::from_unix_ms(Timestamp::now().unix_ms() + 1), 6),
        (6, since, 3),
        (3, since, 2),
        (1, since, 0),
        (6, Timestamp::from_unix_ms(1), 0),
    ] {
        let found = read!(store, messages::last_seq_before(group, seq, at));
        assert_eq!(found, expected, "before {seq} and {at:?}");
    }
    let unknown = Conversation::Group(99);
    assert_eq!(read!(store, messages::last_seq_before(unknown, 9, since)), 0);
}

pub async fn an_erased_message_keeps_its_place(store: &dyn Store) {
    let file = NewMessage {
        message_type: MessageType::File,
        file_url: Some("/f".into()),
        file_size: Some(1),
        file_name: Some("f".into()),
        reply_to_message_id: Some("r".into()),
        ..NewMessage::text(1, Target::Group(1), "secret")
    };
    let first = append(store, file.clone()).await.message;
    let second = append(store, file).await.message;
    let third = say(store, 2, Target::Group(1), "kept").await;
    for (id, why) in
        [(first.id, Erasure::Recalled), (second.id, Erasure::Deleted), (999_999, Erasure::Deleted)]
    {
        // Doing it again changes nothing.
        write!(store, messages::erase(id, why));
        write!(store, messages::erase(id, Erasure::Deleted));
    }
    let erased = |message: &Message| Message {
        content: String::new(),
        file_url: None,
        file_size: None,
        file_name: None,
        is_deleted: true,
        ..message.clone()
    };
    assert_eq!(all(store, Conversation::Group(1)).await, [erased(&first), erased(&second), third]);
    assert_eq!(say(store, 1, Target::Group(1), "next").await.seq, 4);
}

pub async fn an_erased_message_is_still_known_by_its_client_id(store: &dyn Store) {
    let message = with_client_id(NewMessage::text(1, Target::User(2), "x"), "c");
    let id = append(store, message.clone()).await.message.id;
    write!(store, messages::erase(id, Erasure::Recalled));
    let again = append(store, message).await;
    assert!(again.duplicate && again.message.is_deleted, "{again:?}");
    assert_eq!(again.message.id, id);
}

pub async fn senders_of_a_stretch(store: &dyn Store) {
    for sender in [1, 2, 2, 3, 1] {
        say(store, sender, Target::Group(1), "x").await;
        say(store, 9, Target::Group(2), "x").await;
    }
    for (after, up_to, expected) in [
        (0, 5, vec![1, 2, 3]),
        (1, 3, vec![2]),
        (3, 4, vec![3]),
        (4, u64::MAX, vec![1]),
        (5, 5, vec![]),
        (3, 1, vec![]),
    ] {
        let mut senders = read!(store, messages::senders(Conversation::Group(1), after, up_to));
        senders.sort_unstable();
        assert_eq!(senders, expected, "after {after} up to {up_to}");
    }
}
