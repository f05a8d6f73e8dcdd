//! What every [`Store`] must do, as tests that an implementation runs with [`contract_tests!`].
//!
//! Each test is given an empty store, and uses nothing but the trait and the functions on transactions.

pub mod appending;
pub mod conversations;
pub mod groups;
pub mod messages;
pub mod people;
pub mod reading;
pub mod transactions;

use std::fmt::Debug;

use super::{
    Appended, Conversation, Message, NewMessage, Refused, Store, StoreError, StoreExt as _, Target, Timestamp,
};

/// One `#[tokio::test]` for each rule of the contract. `$open` is an expression that makes a store, and whatever
/// must live as long: `(store, guard)`.
macro_rules! contract_tests {
    ($open:expr) => { $crate::store::contract::contract_tests! { @each $open,
        appending {
            what_went_in_comes_out
            a_message_to_oneself
            seq_counts_each_conversation_from_one
            concurrent_writers_leave_no_gap
            calls_from_one_thread_keep_their_order
            commits_are_told_in_order_of_seq
            a_repeated_message_is_stored_once
            concurrent_repetitions_are_stored_once
            client_ids_of_different_senders_do_not_meet
            pages_are_complete_and_ordered
            limits_of_pages
            an_unknown_conversation_is_empty
            any_text_is_kept
            a_wrong_message_fails_alone
            a_dropped_answer_does_not_undo_the_message
            a_closed_store_refuses
        }
        transactions {
            what_was_written_is_read
            what_fails_leaves_nothing
            a_reader_cannot_write
            statements_say_what_they_did
            values_come_back
            a_transaction_sees_what_it_did
            a_failed_statement_leaves_the_transaction
            concurrent_changes_all_count
        }
        messages {
            a_message_is_found_by_each_name
            history_goes_back_page_by_page
            history_goes_back_from_a_place
            messages_of_all_conversations_by_id
            the_last_message_before_a_time
            an_erased_message_keeps_its_place
            an_erased_message_is_still_known_by_its_client_id
            senders_of_a_stretch
        }
        reading {
            a_position_moves_forward_only
            a_position_stays_within_the_conversation
            only_who_takes_part_reads
            marking_by_messages
            a_private_message_is_read_by_its_recipient
            own_messages_are_not_unread
            unread_of_all_conversations
            unread_far_back
            members_count_for_themselves
            concurrent_marks_end_at_the_greatest
        }
        conversations {
            private_ones_and_groups_newest_first
            pages_follow_each_other
            each_side_sees_its_own
            leaving_a_group_takes_it_off_the_list
            a_note_to_oneself_is_listed_once
        }
        groups {
            a_new_group
            data_is_changed_by_admins
            public_groups_are_joined
            members_invite
            a_group_has_room_for_so_many
            concurrent_joins_fill_a_group_exactly
            leaving_and_throwing_out
            roles_and_their_powers
            muted_members_do_not_write
            a_mute_outlasts_the_membership
            a_user_is_in_so_many_groups
            a_group_is_handed_over
            a_dissolved_group_is_none
            groups_of_users
            members_page_by_page
        }
        people {
            a_friendship_from_request_to_end
            requests_that_cross_make_friends
            concurrent_requests_that_cross
            requests_are_refused
            blocks_are_one_sided
            a_user_is_found_by_each_account_name
            account_names_are_taken_once
            concurrent_registrations_of_one_name
            concurrent_registrations_that_cross
            users_change
        }
    } };
    (@each $open:expr, $($module:ident { $($name:ident)* })*) => { $($(
        #[tokio::test]
        async fn $name() {
            let (store, _guard) = $open;
            $crate::store::contract::$module::$name(&store).await;
        }
    )*)* };
}
pub(crate) use contract_tests;

/// Runs a function on a transaction that reads, and fails the test if that fails. The arguments are made when it runs.
macro_rules! read {
    ($store:expr, $($function:ident)::+ ($($argument:expr),* $(,)?)) => {
        $store
            .reading(move |tx| Box::pin($($function)::+(tx $(, $argument)*)))
            .await
            .expect("the read should succeed")
    };
}
use read;

/// Runs a function on a transaction that writes, and gives its result. The arguments are made each time it runs.
macro_rules! try_write {
    ($store:expr, $($function:ident)::+ ($($argument:expr),* $(,)?)) => {
        $store.writing(move |tx| Box::pin($($function)::+(tx $(, $argument)*))).await
    };
}
use try_write;

/// Runs a function on a transaction that writes, and fails the test if that fails.
macro_rules! write {
    ($($call:tt)*) => { $crate::store::contract::try_write!($($call)*).expect("the write should succeed") };
}
use write;

/// Fails unless a rule has forbidden it.
#[track_caller]
fn assert_refused<T: Debug>(result: Result<T, StoreError>, refused: Refused) {
    match result {
        Err(StoreError::Refused(found)) => assert_eq!(found, refused),
        other => panic!("this should be refused ({refused:?}): {other:?}"),
    }
}

async fn append(store: &dyn Store, message: NewMessage) -> Appended {
    store.append(message).await.expect("the append should succeed")
}

/// Appends a text message.
async fn say(store: &dyn Store, from: u64, target: Target, text: &str) -> Message {
    (*append(store, NewMessage::text(from, target, text)).await.message).clone()
}

/// All messages of a conversation; fails if their seq is not 1, 2, 3, …
async fn all(store: &dyn Store, conversation: Conversation) -> Vec<Message> {
    let mut messages = Vec::new();
    loop {
        let page =
            store.sync(conversation, messages.len() as u64, 64).await.expect("the sync should succeed");
        messages.extend(page.messages);
        if !page.has_more {
            break;
        }
    }
    let seqs: Vec<u64> = messages.iter().map(|message| message.seq).collect();
    assert_eq!(
        seqs,
        (1..=messages.len() as u64).collect::<Vec<_>>(),
        "seq of {conversation} has a gap or a double"
    );
    messages
}

fn with_client_id(message: NewMessage, id: &str) -> NewMessage {
    NewMessage { client_message_id: Some(id.to_owned()), ..message }
}

/// A moment, for tests that need several.
fn at(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000 + minute * 60_000)
}
