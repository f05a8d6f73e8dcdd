//! The schema and its history: numbered steps, applied once each, in order, by one node at a time.
//!
//! The table `schema_version` has a row for each step applied. A step that has been released never changes; the schema
//! changes by a new step at the end. MySQL commits each change of a table by itself, so a step can be cut short by a
//! crash: it is written so that running it again from its beginning completes it.

use std::time::Duration;

use mysql_async::prelude::Queryable as _;

use super::fault::Fault;
use super::session::{Session, within};

/// How long a step may take, and how long to wait for another node that is at it.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// Step n brings the schema from version n to n + 1.
const STEPS: &[&str] = &[
    // 1: messages in conversations. Rows of conversations are locked by whoever adds a message, in the order of their
    // ids; `last_seq` is the greatest seq, and 0 in a conversation without messages. There is no foreign key: it
    // would lock the conversation once more for each message.
    "
    CREATE TABLE IF NOT EXISTS conversations (
        id         BIGINT  NOT NULL AUTO_INCREMENT PRIMARY KEY,
        kind       TINYINT NOT NULL,           -- 1 private, 2 group
        first_id   BIGINT  NOT NULL,           -- the lower user id, or the group id
        second_id  BIGINT  NOT NULL,           -- the higher user id, or 0
        last_seq   BIGINT  NOT NULL DEFAULT 0,
        last_at_ms BIGINT  NULL,               -- when the last message was accepted
        UNIQUE KEY conversations_by_name (kind, first_id, second_id)
    ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    CREATE TABLE IF NOT EXISTS messages (
        id                  BIGINT     NOT NULL AUTO_INCREMENT PRIMARY KEY,
        message_id          BINARY(16) NOT NULL,  -- UUID
        conversation_id     BIGINT     NOT NULL,
        seq                 BIGINT     NOT NULL,
        from_user_id        BIGINT     NOT NULL,
        message_type        TINYINT    NOT NULL,
        content             MEDIUMTEXT NOT NULL,
        file_url            TEXT       NULL,
        file_size           BIGINT     NULL,
        file_name           TEXT       NULL,
        reply_to_message_id TEXT       NULL,
        client_message_id   VARBINARY(255) NULL,
        created_at_ms       BIGINT     NOT NULL,
        UNIQUE KEY messages_by_message_id (message_id),
        UNIQUE KEY messages_by_place (conversation_id, seq),
        UNIQUE KEY messages_by_client_id (from_user_id, client_message_id)
    ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    ",
];

/// Brings the database to the newest version. One from a newer program, or of another program, is left untouched.
pub(super) async fn migrate(session: &mut Session) -> Result<(), Fault> {
    if version(session).await? == STEPS.len() {
        return Ok(());
    }
    let lock = "SELECT GET_LOCK(CONCAT('socketio-schema-', MD5(DATABASE())), 60)";
    let locked = within(2 * STEP_LIMIT, session.conn.query_first::<Option<u8>, _>(lock)).await?;
    if locked.flatten() != Some(1) {
        return Err(Fault::Lost("another node has been changing the schema for a minute".to_owned()));
    }
    let migrated = apply(session).await;
    // The server releases it as well when the session ends.
    session.run("DO RELEASE_LOCK(CONCAT('socketio-schema-', MD5(DATABASE())))").await?;
    migrated
}

async fn apply(session: &mut Session) -> Result<(), Fault> {
    session
        .run(
            "CREATE TABLE IF NOT EXISTS schema_version (step INT UNSIGNED NOT NULL PRIMARY KEY, \
             applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP) ENGINE = InnoDB",
        )
        .await?;
    for (number, step) in STEPS.iter().enumerate().skip(version(session).await?) {
        within(STEP_LIMIT, session.conn.query_drop(*step)).await?;
        session.run(&format!("INSERT INTO schema_version (step) VALUES ({})", number + 1)).await?;
        tracing::info!(version = number + 1, "the database's schema was brought to a new version");
    }
    Ok(())
}

/// The number of steps applied, if the database is one of ours.
async fn version(session: &mut Session) -> Result<usize, Fault> {
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() \
                  AND table_name IN ('schema_version', 'messages', 'conversations')";
    let tables: Vec<String> = within(STEP_LIMIT, session.conn.query(tables)).await?;
    if !tables.iter().any(|table| table == "schema_version") {
        return match tables.as_slice() {
            [] => Ok(0),
            [table, ..] => Err(Fault::Corrupt(format!("the table '{table}' in it is another program's"))),
        };
    }
    let steps = "SELECT COALESCE(MAX(step), 0) FROM schema_version";
    let found: u32 = within(STEP_LIMIT, session.conn.query_first(steps)).await?.unwrap_or(0);
    let known = STEPS.len() as u32;
    if found > known { Err(Fault::Newer { found, known }) } else { Ok(found as usize) }
}
