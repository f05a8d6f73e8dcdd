//! What is appended comes out again: in order, once, whole.

use std::collections::HashSet;

use super::{all, append, with_client_id};
use crate::store::{
    Appended, Conversation, MAX_ID, MAX_SYNC_LIMIT, MessageType, NewMessage, Store, StoreExt as _, Target,
    Timestamp,
};

pub async fn what_went_in_comes_out(store: &dyn Store) {
    let full = NewMessage {
        from_user_id: 7,
        target: Target::User(3),
        message_type: MessageType::Voice,
        content: "hör mal".into(),
        file_url: Some("https://files.example/a.ogg".into()),
        file_size: Some(MAX_ID),
        file_name: Some("a.ogg".into()),
        reply_to_message_id: Some("00000000-0000-4000-8000-000000000000".into()),
        client_message_id: Some("c1".into()),
    };
    let before = Timestamp::now();
    let private = append(store, full.clone()).await;
    let after = Timestamp::now();
    assert!(!private.duplicate);
    let message = &*private.message;
    assert_eq!(message.conversation, Conversation::Private { low: 3, high: 7 });
    assert_eq!((message.from_user_id, message.to_user_id, message.group_id), (7, Some(3), None));
    assert_eq!((message.seq, message.message_type), (1, MessageType::Voice));
    assert_eq!(message.content, full.content);
    assert_eq!(message.file_url, full.file_url);
    assert_eq!(message.file_size, full.file_size);
    assert_eq!(message.file_name, full.file_name);
    assert_eq!(message.reply_to_message_id, full.reply_to_message_id);
    assert_eq!(message.client_message_id, full.client_message_id);
    assert_eq!((message.is_read, message.is_deleted), (false, false));
    assert!((1..=MAX_ID).contains(&message.id));
    assert_eq!(uuid::Uuid::parse_str(&message.message_id).unwrap().get_version_num(), 7);
    assert!((before..=after).contains(&message.created_at), "{before} {} {after}", message.created_at);

    let group = append(store, NewMessage::text(MAX_ID, Target::Group(MAX_ID), "x")).await.message;
    assert_eq!(group.conversation, Conversation::Group(MAX_ID));
    assert_eq!((group.from_user_id, group.to_user_id, group.group_id), (MAX_ID, None, Some(MAX_ID)));
    assert_eq!((&group.file_url, group.file_size, &group.client_message_id), (&None, None, &None));

    assert_eq!(all(store, message.conversation).await, std::slice::from_ref(message));
    assert_eq!(all(store, group.conversation).await, [(*group).clone()]);
}

pub async fn a_message_to_oneself(store: &dyn Store) {
    let note = append(store, NewMessage::text(5, Target::User(5), "buy milk")).await.message;
    assert_eq!(note.conversation, Conversation::Private { low: 5, high: 5 });
    assert_eq!((note.from_user_id, note.to_user_id), (5, Some(5)));
    assert_eq!(all(store, note.conversation).await, [(*note).clone()]);
}

pub async fn seq_counts_each_conversation_from_one(store: &dyn Store) {
    // User 1 with user 2, in both directions, is one conversation; group 2 is another one.
    for round in 1..=3 {
        let there = append(store, NewMessage::text(1, Target::User(2), "there")).await;
        let back = append(store, NewMessage::text(2, Target::User(1), "back")).await;
        let group = append(store, NewMessage::text(1, Target::Group(2), "group")).await;
        let seqs = [there, back, group].map(|appended| appended.message.seq);
        assert_eq!(seqs, [2 * round - 1, 2 * round, round]);
    }
}

pub async fn concurrent_writers_leave_no_gap(store: &dyn Store) {
    const THREADS: u64 = 4;
    const EACH: u64 = 60;
    let conversations = [Conversation::between(1, 2), Conversation::Group(1), Conversation::Group(2)];
    // The calls happen on several threads; the answers are awaited here.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    (0..EACH)
                        .map(|n| {
                            store.append(NewMessage::text(1, conversations[n as usize % 3].target(1), "x"))
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut answered = HashSet::new();
    for answer in answers {
        let message = answer.await.unwrap().message;
        assert!(answered.insert((message.conversation, message.seq)), "{message:?} has another one's place");
    }
    let mut ids = HashSet::new();
    for conversation in conversations {
        let messages = all(store, conversation).await;
        assert_eq!(messages.len() as u64, THREADS * EACH / 3);
        assert!(messages.is_sorted_by_key(|message| message.id), "ids grow with seq");
        ids.extend(messages.into_iter().flat_map(|message| [message.message_id, message.id.to_string()]));
    }
    assert_eq!(ids.len() as u64, 2 * THREADS * EACH, "an id was given twice");
}

pub async fn calls_from_one_thread_keep_their_order(store: &dyn Store) {
    let answers: Vec<_> =
        (0..50).map(|n| store.append(NewMessage::text(1, Target::User(2), n.to_string()))).collect();
    // Polling backwards must not matter.
    for (n, answer) in answers.into_iter().enumerate().rev() {
        let message = answer.await.unwrap().message;
        assert_eq!((message.content.as_str(), message.seq), (n.to_string().as_str(), n as u64 + 1));
    }
}

pub async fn commits_are_told_in_order_of_seq(store: &dyn Store) {
    let (told, mut messages) = tokio::sync::mpsc::unbounded_channel();
    for n in 0..60 {
        let told = told.clone();
        let then = Box::new(move |appended| told.send(appended).unwrap());
        // Each third one is stored before, each fifth cannot be stored.
        let sender = if n % 5 == 4 { 0 } else { 1 };
        let id = if n % 3 == 2 { "0".to_owned() } else { n.to_string() };
        let message = with_client_id(NewMessage::text(sender, Target::Group(1), n.to_string()), &id);
        store.append_then(message, then);
    }
    drop(told);
    let (mut in_order, mut refused, mut duplicates) = (Vec::new(), 0, 0);
    let mut last_at = None;
    while let Some(appended) = messages.recv().await {
        match appended {
            Ok(Appended { message, duplicate: false, previous_at }) => {
                assert_eq!(previous_at, last_at, "before seq {}", message.seq);
                last_at = Some(message.created_at);
                in_order.push((*message).clone());
            }
            Ok(Appended { previous_at, .. }) => {
                assert_eq!(previous_at, None);
                duplicates += 1;
            }
            Err(error) => {
                assert_eq!(error.code(), "invalid_message");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 60 / 5);
    assert_eq!(in_order.len() + duplicates + refused, 60, "each is told once");
    assert_eq!(in_order.len(), (0..60).filter(|n| n % 5 != 4 && n % 3 != 2).count());
    assert_eq!(in_order, all(store, Conversation::Group(1)).await);
}

pub async fn a_repeated_message_is_stored_once(store: &dyn Store) {
    let message = with_client_id(NewMessage::text(1, Target::User(2), "first"), "c");
    let first = append(store, message.clone()).await;
    // The first one is answered whatever the repetition says: another text, another conversation.
    for again in [
        message.clone(),
        NewMessage { content: "other".into(), ..message.clone() },
        NewMessage { target: Target::Group(9), ..message },
    ] {
        let repeated = append(store, again).await;
        assert!(repeated.duplicate);
        assert_eq!(repeated.message, first.message);
    }
    assert_eq!(all(store, first.message.conversation).await.len(), 1);
    assert_eq!(all(store, Conversation::Group(9)).await.len(), 0);
    // The places that the repetitions did not take are free.
    assert_eq!(append(store, NewMessage::text(1, Target::User(2), "next")).await.message.seq, 2);
    assert_eq!(append(store, NewMessage::text(1, Target::Group(9), "next")).await.message.seq, 1);
}

pub async fn concurrent_repetitions_are_stored_once(store: &dyn Store) {
    let answers: Vec<_> = (0..40)
        .map(|n| {
            let message = NewMessage::text(1, Target::User(2), n.to_string());
            store.append(with_client_id(message, &format!("c{}", n % 4)))
        })
        .collect();
    let mut first = Vec::new();
    for (n, answer) in answers.into_iter().enumerate() {
        let appended = answer.await.unwrap();
        assert_eq!(appended.duplicate, n >= 4, "append {n}");
        if n < 4 {
            first.push(appended.message);
        } else {
            assert_eq!(appended.message, first[n % 4]);
        }
    }
    assert_eq!(all(store, Conversation::between(1, 2)).await.len(), 4);
}

pub async fn client_ids_of_different_senders_do_not_meet(store: &dyn Store) {
    for (sender, id, duplicate) in
        [(1, "a", false), (2, "a", false), (1, "A", false), (1, "", false), (1, "", true)]
    {
        let appended =
            append(store, with_client_id(NewMessage::text(sender, Target::Group(1), "x"), id)).await;
        assert_eq!(appended.duplicate, duplicate, "sender {sender}, id {id:?}");
    }
    // Without one, equal messages are different messages.
    for _ in 0..2 {
        assert!(!append(store, NewMessage::text(1, Target::Group(1), "x")).await.duplicate);
    }
    assert_eq!(all(store, Conversation::Group(1)).await.len(), 6);
}

pub async fn pages_are_complete_and_ordered(store: &dyn Store) {
    for n in 1..=10 {
        append(store, NewMessage::text(1, Target::Group(1), n.to_string())).await;
        append(store, NewMessage::text(1, Target::Group(2), "other")).await;
    }
    for (after, limit, expected, has_more) in [
        (0, 4, 1..=4, true),
        (4, 4, 5..=8, true),
        (8, 4, 9..=10, false),
        (6, 4, 7..=10, false),
        (5, 4, 6..=9, true),
        (9, 1, 10..=10, false),
        (0, 100, 1..=10, false),
    ] {
        let page = store.sync(Conversation::Group(1), after, limit).await.unwrap();
        let contents: Vec<_> = page.messages.iter().map(|message| message.content.clone()).collect();
        assert_eq!(
            contents,
            expected.map(|n| n.to_string()).collect::<Vec<_>>(),
            "after {after}, limit {limit}"
        );
        assert_eq!(page.has_more, has_more, "after {after}, limit {limit}");
    }
}

pub async fn limits_of_pages(store: &dyn Store) {
    let count = MAX_SYNC_LIMIT + 1;
    let answers: Vec<_> =
        (0..count).map(|_| store.append(NewMessage::text(1, Target::Group(1), "x"))).collect();
    for answer in answers {
        answer.await.unwrap();
    }
    let group = Conversation::Group(1);
    let page = store.sync(group, 0, u32::MAX).await.unwrap();
    assert_eq!((page.messages.len() as u32, page.has_more), (MAX_SYNC_LIMIT, true));
    let page = store.sync(group, 0, 0).await.unwrap();
    assert_eq!((page.messages.len(), page.has_more), (0, true), "a limit of 0 asks whether there are any");
    for after in [u64::from(count), u64::MAX] {
        for limit in [0, 1, u32::MAX] {
            let page = store.sync(group, after, limit).await.unwrap();
            assert_eq!((page.messages.len(), page.has_more), (0, false), "after {after}, limit {limit}");
        }
    }
}

pub async fn an_unknown_conversation_is_empty(store: &dyn Store) {
    append(store, NewMessage::text(1, Target::User(2), "x")).await;
    // The last two cannot exist.
    let misordered = Conversation::Private { low: 2, high: 1 };
    for conversation in
        [Conversation::between(1, 3), Conversation::Group(2), misordered, Conversation::Group(0)]
    {
        let page = store.sync(conversation, 0, 10).await.unwrap();
        assert_eq!((page.messages.len(), page.has_more), (0, false), "{conversation}");
    }
}

pub async fn any_text_is_kept(store: &dyn Store) {
    let texts = [
        String::new(),
        "'; DROP TABLE messages; --".into(),
        "nul \0 inside".into(),
        "line\r\nbreak\ttab".into(),
        "Grüße, 你好, שלום, e\u{301} \u{202e}\u{feff}".into(),
        "👩‍👩‍👧‍👦🏳️‍🌈".into(),
        "\u{10FFFF}".repeat(5000),
        "x".repeat(5000),
    ];
    for text in &texts {
        let message = NewMessage {
            file_url: Some(text.clone()),
            file_name: Some(text.clone()),
            reply_to_message_id: Some(text.clone()),
            ..NewMessage::text(1, Target::User(2), text)
        };
        append(store, message).await;
    }
    for (message, text) in all(store, Conversation::between(1, 2)).await.iter().zip(&texts) {
        assert_eq!(&message.content, text);
        assert_eq!(message.file_url.as_ref(), Some(text));
        assert_eq!(message.file_name.as_ref(), Some(text));
        assert_eq!(message.reply_to_message_id.as_ref(), Some(text));
    }
}

pub async fn a_wrong_message_fails_alone(store: &dyn Store) {
    let answers: Vec<_> = [1, 0, 2, MAX_ID + 1, 3]
        .into_iter()
        .map(|sender| (sender, store.append(NewMessage::text(sender, Target::Group(1), "x"))))
        .collect();
    for (sender, answer) in answers {
        match answer.await {
            Ok(appended) => assert_eq!(appended.message.from_user_id, sender),
            Err(error) => assert_eq!((error.code(), (1..=3).contains(&sender)), ("invalid_message", false)),
        }
    }
    assert_eq!(all(store, Conversation::Group(1)).await.len(), 3);
}

pub async fn a_dropped_answer_does_not_undo_the_message(store: &dyn Store) {
    drop(store.append(NewMessage::text(1, Target::User(2), "nobody waits")));
    drop(store.sync(Conversation::between(1, 2), 0, 10));
    let next = append(store, NewMessage::text(1, Target::User(2), "somebody waits")).await.message;
    assert_eq!(next.seq, 2);
    assert_eq!(all(store, next.conversation).await[0].content, "nobody waits");
}

pub async fn a_closed_store_refuses(store: &dyn Store) {
    let queued: Vec<_> = (0..20).map(|_| store.append(NewMessage::text(1, Target::User(2), "x"))).collect();
    let closed = store.close();
    let late = store.append(NewMessage::text(1, Target::User(2), "late"));
    closed.await.unwrap();
    for answer in queued {
        answer.await.expect("what was queued before the close is stored");
    }
    assert_eq!(late.await.unwrap_err().code(), "store_unavailable");
    assert_eq!(store.sync(Conversation::between(1, 2), 0, 1).await.unwrap_err().code(), "store_unavailable");
    store.close().await.expect("closing twice is fine");
}
