//! What a transaction is: all or nothing, and what its statements say.

use crate::store::sql::{SqlFuture, Tx, Value, values};
use crate::store::{Conversation, Store, StoreError, StoreExt as _};

/// The tests use this table, whose columns are numbers.
const INSERT: &str = "INSERT INTO read_positions (user_id, conversation_id, seq, at_ms) VALUES (?, ?, ?, 0)";

fn insert(tx: &mut dyn Tx, user: u64, seq: u64) -> SqlFuture<'_, ()> {
    Box::pin(async move { tx.execute(INSERT, values![user, 1u64, seq]).await.map(drop) })
}

fn seqs(tx: &mut dyn Tx) -> SqlFuture<'_, Vec<i64>> {
    Box::pin(async move {
        let rows = tx.query("SELECT seq FROM read_positions ORDER BY user_id", &[]).await?;
        rows.iter().map(|row| row.get(0)).collect()
    })
}

fn given_up() -> StoreError {
    StoreError::Invalid("given up".to_owned())
}

pub async fn what_was_written_is_read(store: &dyn Store) {
    for n in 1..=5 {
        let result = store
            .writing(move |tx| {
                Box::pin(async move {
                    insert(tx, n, 10 * n).await?;
                    Ok(format!("result {n}"))
                })
            })
            .await;
        assert_eq!(result, Ok(format!("result {n}")));
        // An answered write is seen by every read after it.
        let expected: Vec<_> = (1..=n as i64).map(|n| 10 * n).collect();
        assert_eq!(store.reading(|tx| seqs(tx)).await, Ok(expected));
    }
}

pub async fn what_fails_leaves_nothing(store: &dyn Store) {
    // Queued together, so that they may share a commit.
    let answers: Vec<_> = (1..=6)
        .map(|n| {
            store.writing(move |tx| {
                Box::pin(async move {
                    insert(tx, n, n).await?;
                    insert(tx, n + 100, n).await?;
                    if n % 2 == 0 { Err(given_up()) } else { Ok(()) }
                })
            })
        })
        .collect();
    for (n, answer) in (1..=6).zip(answers) {
        assert_eq!(answer.await, if n % 2 == 0 { Err(given_up()) } else { Ok(()) }, "write {n}");
    }
    assert_eq!(store.reading(|tx| seqs(tx)).await, Ok(vec![1, 3, 5, 1, 3, 5]));
}

pub async fn a_reader_cannot_write(store: &dyn Store) {
    store.reading(|tx| insert(tx, 1, 1)).await.expect_err("a reading transaction should not write");
    assert_eq!(store.reading(|tx| seqs(tx)).await, Ok(vec![]));
    // And the reader goes on.
    store.sync(Conversation::Group(1), 0, 1).await.unwrap();
}

pub async fn statements_say_what_they_did(store: &dyn Store) {
    let counts = store
        .writing(|tx| {
            Box::pin(async move {
                for user in 1..=3 {
                    insert(tx, user, 7).await?;
                }
                let update = "UPDATE read_positions SET seq = 7 WHERE user_id >= ?";
                // Found counts, whether it was changed or not.
                let found = tx.execute(update, values![2u64]).await?;
                let absent =
                    format!("{} INTO read_positions VALUES (?, 1, 9, 9)", tx.dialect().insert_absent());
                let old = tx.execute(&absent, values![3u64]).await?;
                let new = tx.execute(&absent, values![4u64]).await?;
                let deleted =
                    tx.execute("DELETE FROM read_positions WHERE user_id < ?", values![3u64]).await?;
                let none = tx.execute(update, values![5u64]).await?;
                Ok([found, old, new, deleted, none])
            })
        })
        .await;
    assert_eq!(counts, Ok([2, 0, 1, 2, 0]));
    let ids = store
        .writing(|tx| {
            Box::pin(async move {
                let insert = "INSERT INTO im_groups (name, owner_id, max_members, is_public, created_at_ms) \
                              VALUES ('x', 1, 1, 1, 1)";
                let first = tx.insert(insert, &[]).await?;
                let second = tx.insert(insert, &[]).await?;
                let rows = tx.query("SELECT id FROM im_groups ORDER BY id", &[]).await?;
                Ok((vec![first, second], rows.iter().map(|row| row.get(0)).collect::<Result<Vec<u64>, _>>()?))
            })
        })
        .await
        .unwrap();
    assert_eq!(ids.0, ids.1, "an insert gives the id of its row");
}

pub async fn values_come_back(store: &dyn Store) {
    let texts = ["", "'; --", "line\nbreak\0nul", "你好 👩‍👩‍👧", " spaces at the end  "];
    let rows = store
        .writing(move |tx| {
            Box::pin(async move {
                for (n, text) in texts.into_iter().enumerate() {
                    tx.insert(
                        "INSERT INTO users (username, nickname, password_hash, is_admin, created_at_ms) \
                         VALUES (?, ?, ?, ?, ?)",
                        values![n.to_string() + text, text, text, n == 0, Value::Int(i64::MIN + n as i64)],
                    )
                    .await?;
                }
                tx.query(
                    "SELECT username, nickname, phone, is_admin, created_at_ms FROM users ORDER BY created_at_ms",
                    &[],
                )
                .await
            })
        })
        .await
        .unwrap();
    for (n, (row, text)) in rows.iter().zip(texts).enumerate() {
        let expected = [
            Value::Text(n.to_string() + text),
            Value::Text(text.to_owned()),
            Value::Null,
            Value::Int((n == 0).into()),
            Value::Int(i64::MIN + n as i64),
        ];
        assert_eq!(row.0, expected);
    }
}

pub async fn a_transaction_sees_what_it_did(store: &dyn Store) {
    let seen = store
        .writing(|tx| {
            Box::pin(async move {
                insert(tx, 1, 5).await?;
                seqs(tx).await
            })
        })
        .await;
    assert_eq!(seen, Ok(vec![5]));
}

pub async fn a_failed_statement_leaves_the_transaction(store: &dyn Store) {
    let result = store
        .writing(|tx| {
            Box::pin(async move {
                insert(tx, 1, 1).await?;
                let again = insert(tx, 1, 2).await;
                insert(tx, 2, 3).await?;
                Ok(again.map_err(|error| error.code()))
            })
        })
        .await;
    assert_eq!(result, Ok(Err("conflict")));
    assert_eq!(store.reading(|tx| seqs(tx)).await, Ok(vec![1, 3]));
}

pub async fn concurrent_changes_all_count(store: &dyn Store) {
    const COUNT: u64 = 40;
    store.writing(|tx| insert(tx, 1, 0)).await.unwrap();
    let answers: Vec<_> = (0..COUNT)
        .map(|_| {
            store.writing(|tx| {
                Box::pin(async move {
                    // What was read is what is changed, although others do the same.
                    let select = format!("SELECT seq FROM read_positions{}", tx.dialect().for_update());
                    let seq: u64 = tx.query(&select, &[]).await?[0].get(0)?;
                    tx.execute("UPDATE read_positions SET seq = ?", values![seq + 1]).await
                })
            })
        })
        .collect();
    for answer in answers {
        assert_eq!(answer.await, Ok(1));
    }
    assert_eq!(store.reading(|tx| seqs(tx)).await, Ok(vec![COUNT as i64]));
}
