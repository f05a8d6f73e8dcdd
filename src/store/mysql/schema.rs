//! Brings the schema up to date, by one node at a time: the others wait for the server's lock of that name.
//!
//! The table `schema_version` has a row for each step applied. A step that was cut short by a crash has none, and runs
//! again.

use std::time::Duration;

use mysql_async::prelude::Queryable as _;

use super::fault::Fault;
use super::session::{Session, within};
use crate::store::tables::STEPS;

/// How long a step may take.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// How often to wait, for two seconds each, while another node is at it.
const LOCK_TRIES: u32 = 60;

/// Brings the database to the newest version. One from a newer program, or of another program, is left untouched.
pub(super) async fn migrate(session: &mut Session) -> Result<(), Fault> {
    if version(session).await? == STEPS.len() {
        return Ok(());
    }
    lock(session).await?;
    let migrated = apply(session).await;
    // The server releases it as well when the session ends.
    session.run("DO RELEASE_LOCK(CONCAT('socketio-schema-', MD5(DATABASE())))").await?;
    migrated
}

async fn lock(session: &mut Session) -> Result<(), Fault> {
    for _ in 0..LOCK_TRIES {
        let locked =
            session.answers("SELECT GET_LOCK(CONCAT('socketio-schema-', MD5(DATABASE())), 2)", 1).await?;
        if let Some(row) = locked.iter().flatten().next()
            && row.get::<Option<bool>>(0)? == Some(true)
        {
            return Ok(());
        }
    }
    Err(Fault::Lost("another node does not come to an end with changing the schema".to_owned()))
}

async fn apply(session: &mut Session) -> Result<(), Fault> {
    session
        .run(
            "CREATE TABLE IF NOT EXISTS schema_version (step BIGINT NOT NULL PRIMARY KEY, \
             applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP) ENGINE = InnoDB",
        )
        .await?;
    for (number, step) in STEPS.iter().enumerate().skip(version(session).await?) {
        within(STEP_LIMIT, session.conn.query_drop(step.mysql)).await?;
        session.run(&format!("INSERT INTO schema_version (step) VALUES ({})", number + 1)).await?;
        tracing::info!(version = number + 1, "the database's schema was brought to a new version");
    }
    Ok(())
}

/// The number of steps applied, if the database is one of ours.
async fn version(session: &mut Session) -> Result<usize, Fault> {
    let ours = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() \
                AND table_name IN ('schema_version', 'messages', 'conversations')";
    let tables = session.answers(ours, 1).await?;
    let tables: Vec<String> = tables.iter().flatten().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    if !tables.iter().any(|table| table == "schema_version") {
        return match tables.as_slice() {
            [] => Ok(0),
            [table, ..] => Err(Fault::Corrupt(format!("the table '{table}' in it is another program's"))),
        };
    }
    let rows = session.answers("SELECT COALESCE(MAX(step), 0) FROM schema_version", 1).await?;
    let found: u32 = rows.iter().flatten().next().map_or(Ok(0), |row| row.get(0))?;
    let known = STEPS.len() as u32;
    if found > known { Err(Fault::Newer { found, known }) } else { Ok(found as usize) }
}
