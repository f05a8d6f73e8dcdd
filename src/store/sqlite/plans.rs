//! How SQLite finds what the portable functions ask for: by an index, never by reading a whole table.

use rusqlite::Connection;

use super::{schema, tx};
use crate::store::groups::{self, NewGroup};
use crate::store::messages::{self, Erasure, Start};
use crate::store::sql::{Dialect, Row, SqlFuture, Tx, Value, Work};
use crate::store::users::{self, NewUser, UserChange};
use crate::store::{Conversation, MessageKey, Timestamp, blocks, conversations, friends, read_positions};

/// A transaction that notes the plan of each statement before it runs it.
struct Explaining<'t> {
    tx: &'t mut dyn Tx,
    plans: &'t mut Vec<(String, Vec<String>)>,
}

impl Explaining<'_> {
    async fn explain(&mut self, sql: &str, values: &[Value]) {
        let plan = self.tx.query(&format!("EXPLAIN QUERY PLAN {sql}"), values).await.unwrap();
        self.plans.push((sql.to_owned(), plan.iter().map(|row| row.get(3).unwrap()).collect()));
    }
}

impl Tx for Explaining<'_> {
    fn query<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, Vec<Row>> {
        Box::pin(async move {
            self.explain(sql, values).await;
            self.tx.query(sql, values).await
        })
    }

    fn execute<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, u64> {
        Box::pin(async move {
            self.explain(sql, values).await;
            self.tx.execute(sql, values).await
        })
    }

    fn insert<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, u64> {
        self.tx.insert(sql, values)
    }

    fn dialect(&self) -> Dialect {
        self.tx.dialect()
    }
}

/// Each statement of the functions that `$body` calls on `$tx`, with its plan. The database has no statistics, as in
/// production.
macro_rules! plans {
    (|$tx:ident| $body:block) => {{
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let mut connection = Connection::open(&path).unwrap();
        schema::migrate(&mut connection, &path).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let work: Work = Box::new(move |tx| {
            let sender = sender.clone();
            Box::pin(async move {
                let mut plans = Vec::new();
                let $tx = &mut Explaining { tx, plans: &mut plans };
                $body
                sender.send(plans).unwrap();
                Ok(())
            })
        });
        // A private conversation with a message, and a group's without one.
        connection.execute_batch("INSERT INTO conversations VALUES (1, 1, 1, 2), (2, 2, 1, 0)").unwrap();
        connection
            .execute_batch("INSERT INTO messages VALUES (1, zeroblob(16), 1, 1, 1, 1, '', NULL, NULL, NULL, NULL, NULL, 1, 0)")
            .unwrap();
        tx::run(&work, &mut connection).unwrap();
        receiver.recv().unwrap()
    }};
}

const PRIVATE: Conversation = Conversation::Private { low: 1, high: 2 };

/// Whether a step reads all of a table, or all private conversations, rather than what was given or found before.
fn reads_too_much(step: &str) -> bool {
    let known = ["own", "page"];
    let scans = step.strip_prefix("SCAN ").is_some_and(|what| {
        !known.contains(&what) && !what.starts_with("(subquery") && !what.ends_with("VALUES CLAUSE")
    });
    scans || step.ends_with("(kind=?)")
}

#[test]
fn nothing_reads_too_much() {
    let now = Timestamp::from_unix_ms(0);
    let plans = plans!(|tx| {
        let new = NewGroup {
            name: "g".into(),
            description: None,
            avatar: None,
            owner_id: 1,
            member_ids: vec![2, 3],
            max_members: 9,
            is_public: true,
        };
        let group = groups::create(tx, new, now).await?.id;
        messages::sync(tx, PRIVATE, 0, 10).await?;
        messages::history(tx, PRIVATE, Start::Page(1), 10).await?;
        messages::committed_after(tx, 0, 10).await?;
        messages::last_id(tx).await?;
        messages::last_seq_before(tx, PRIVATE, 9, now).await?;
        messages::get(tx, MessageKey::Id(1)).await?;
        messages::get(tx, MessageKey::MessageId(uuid::Uuid::nil())).await?;
        messages::senders(tx, PRIVATE, 0, 9).await?;
        messages::erase(tx, 1, Erasure::Deleted).await?;
        read_positions::unread(tx, 2, PRIVATE).await?;
        read_positions::unread_all(tx, 2).await?;
        conversations::list(tx, 2, None, 10).await?;
        let keys = vec![MessageKey::Id(1), MessageKey::Id(2), MessageKey::MessageId(uuid::Uuid::nil())];
        read_positions::mark_messages_read(tx, 2, keys, now).await?;
        groups::of_user(tx, 2).await?;
        groups::of_users(tx, vec![1, 2, 3]).await?;
        groups::members(tx, group, 0, 10).await?;
        groups::may_write(tx, group, 2, now).await?;
        groups::set_admin(tx, group, 1, 2, true).await?;
        groups::mute(tx, group, 1, 2, None).await?;
        groups::transfer(tx, group, 1, 2).await?;
        groups::leave(tx, group, 1, now).await?;
        groups::invite(tx, group, 2, vec![5, 6], now).await?;
        groups::update(tx, group, 2, Default::default()).await?;
        groups::dissolve(tx, group, 2, now).await?;
        friends::request(tx, 1, 2, None, now).await?;
        friends::requests(tx, 2).await?;
        friends::accept(tx, 2, 1, None, now).await?;
        friends::list(tx, 2).await?;
        friends::set_remark(tx, 2, 1, None).await?;
        friends::remove(tx, 2, 1).await?;
        blocks::block(tx, 1, 2, now).await?;
        blocks::list(tx, 1).await?;
        blocks::blockers_of(tx, vec![1, 2, 3]).await?;
        blocks::unblock(tx, 1, 2).await?;
        let new = NewUser {
            username: "ann".into(),
            phone: Some("1".into()),
            email: None,
            nickname: None,
            avatar: None,
            password_hash: String::new(),
            is_admin: false,
        };
        let user = users::create(tx, new, now).await?.id;
        users::by_account(tx, "ann".into()).await?;
        users::update(tx, user, UserChange { email: Some("a@x".into()), ..Default::default() }).await?;
    });
    assert!(plans.len() > 60, "{} statements", plans.len());
    for (sql, plan) in plans {
        assert!(!plan.iter().any(|step| reads_too_much(step)), "{sql}\n{plan:#?}");
    }
}

#[test]
fn pages_come_in_order_from_the_index() {
    let plans = plans!(|tx| {
        messages::sync(tx, PRIVATE, 0, 10).await?;
        messages::history(tx, PRIVATE, Start::BeforeSeq(9), 10).await?;
        groups::members(tx, 1, 0, 10).await?;
    });
    for (sql, plan) in plans {
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{sql}\n{plan:#?}");
    }
}

#[test]
fn a_list_of_conversations_looks_at_the_last_messages_alone() {
    let plans = plans!(|tx| {
        conversations::list(tx, 2, None, 10).await?;
        read_positions::unread_all(tx, 2).await?;
    });
    for (sql, plan) in &plans {
        let last = "SEARCH x USING COVERING INDEX messages_by_place (conversation_id=?)";
        if sql.contains("FROM messages x") {
            assert!(plan.iter().any(|step| step == last), "{sql}\n{plan:#?}");
        }
        for step in plan.iter().filter(|step| step.starts_with("SEARCH messages")) {
            assert!(
                step.contains("messages_by_place (conversation_id=? AND seq>? AND seq<?)"),
                "{sql}\n{plan:#?}"
            );
        }
    }
    assert_eq!(plans.len(), 4, "each is two statements, however many conversations there are");
}
