//! Connections to the database, and what each of them is told first.
//!
//! Nothing waits for a server without a limit: every answer is asked for through [`within`]. What a session locks, it
//! locks for a few seconds at most, even when this process is stopped in the middle of a transaction: the server then
//! ends the session for its silence.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::time::timeout;

use super::fault::Fault;
use super::rows::row;
use crate::store::StoreError;
use crate::store::sql::Row;

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long the answer to a statement may take, waits for locks included.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long a statement waits for a lock, in seconds.
const LOCK_LIMIT_S: u64 = 2;
/// After how many seconds without a word the server ends a session, and with it its transaction and locks. Elsewhere
/// than in a transaction this is for the server to say, which notes each in its log.
pub(super) const SILENCE_LIMIT_S: u64 = 8;
/// How often an idle session says a word.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(3);

/// Statements that a session keeps prepared.
const PREPARED_STATEMENTS: usize = 128;

/// Where the database is, and how to speak to it.
#[derive(Debug)]
pub(super) struct Database {
    options: OptsBuilder,
    /// Its address and name, as people may see it.
    name: String,
    /// Whether it was said that the server's settings risk messages.
    warned: AtomicBool,
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It only reads, each statement for itself. The server refuses everything else.
    Read,
    /// Transactions, now and then. They limit the silence themselves.
    Write,
    /// Transactions all the time, and a word between them.
    Append,
}

/// A connection that has been told everything.
#[derive(Debug)]
pub(super) struct Session {
    /// To be used with [`within`].
    pub conn: Conn,
    /// The longest statement that the server takes, in bytes.
    pub max_statement: usize,
}

impl Database {
    /// From a URL as in `store.url`. `node` is the name that the server shows for the connections.
    pub fn new(url: &str, node: &str) -> Result<Self, StoreError> {
        let wrong = |error| StoreError::Unavailable(format!("not the URL of a MySQL database: {error}"));
        let options = Opts::from_url(url).map_err(wrong)?;
        let (host, port) = (options.ip_or_hostname(), options.tcp_port());
        let name = format!("mysql://{host}:{port}/{}", options.db_name().unwrap_or_default());
        let options = OptsBuilder::from_opts(options)
            // The URL says how to connect. What the server believes to be its socket can be another server's.
            .prefer_socket(false)
            .client_found_rows(true)
            .stmt_cache_size(PREPARED_STATEMENTS)
            .tcp_keepalive(Some(Duration::from_secs(10)))
            .connect_attributes(HashMap::from([
                ("program_name".to_owned(), "tokio-socketio".to_owned()),
                ("node".to_owned(), node.to_owned()),
            ]));
        Ok(Self { options, name, warned: AtomicBool::new(false) })
    }

    /// Why it can't be used at all.
    pub fn refusal(&self, fault: Fault) -> StoreError {
        match fault {
            Fault::Newer { found, known } => StoreError::Newer { database: self.name.clone(), found, known },
            Fault::Corrupt(text) => StoreError::Corrupt(format!("{}: {text}", self.name)),
            other => other.into(),
        }
    }

    /// A new session.
    pub async fn connect(&self, access: Access) -> Result<Session, Fault> {
        let conn =
            within(CONNECT_LIMIT, Conn::new(self.options.clone().init(vec![settings(access)]))).await?;
        let mut session = Session { conn, max_statement: 0 };
        let answers = session.answers(SERVER_SETTINGS, 1).await?;
        let Some(row) = answers.iter().flatten().next() else {
            return Err(Fault::Lost("the server does not tell its settings".to_owned()));
        };
        session.max_statement = usize::try_from(row.get::<u64>(0)?).unwrap_or(usize::MAX);
        let (at_commit, binlog_unsynced) = (row.get::<u64>(1)?, row.get::<bool>(2)?);
        if (at_commit != 1 || binlog_unsynced) && !self.warned.swap(true, Relaxed) {
            tracing::warn!(
                innodb_flush_log_at_trx_commit = at_commit,
                binlog_unsynced,
                "the database does not sync its log at each commit: acknowledged messages can be lost with its machine. \
                 Set innodb_flush_log_at_trx_commit = 1, and sync_binlog = 1 where there is a binary log"
            );
        }
        Ok(session)
    }
}

const SERVER_SETTINGS: &str = "\
    SELECT @@max_allowed_packet, @@innodb_flush_log_at_trx_commit, @@log_bin AND @@sync_binlog <> 1";

/// Statements that make a session what this program relies on, whatever the server's defaults are. The `sql_mode` is also
/// what makes escaped text safe: with it, a backslash is an escape. Without `derived_merge`, because MariaDB 10.11 says
/// "Unknown column" when a prepared statement with a subquery in a merged table runs for the second time.
fn settings(access: Access) -> String {
    let transactions = match access {
        Access::Read => "READ ONLY",
        Access::Write | Access::Append => "READ WRITE",
    };
    let silence = match access {
        Access::Read | Access::Write => "DEFAULT".to_owned(),
        Access::Append => SILENCE_LIMIT_S.to_string(),
    };
    format!(
        "SET NAMES utf8mb4 COLLATE utf8mb4_bin; \
         SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1, \
             innodb_lock_wait_timeout = {LOCK_LIMIT_S}, wait_timeout = {silence}, \
             optimizer_switch = 'derived_merge=off'; \
         SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, {transactions}"
    )
}

impl Session {
    /// Runs statements that answer nothing of interest.
    pub async fn run(&mut self, script: &str) -> Result<(), Fault> {
        within(ANSWER_LIMIT, self.conn.query_drop(script)).await
    }

    /// Runs statements, and gives the rows that the first so many of them answer: none for those that give no rows. An
    /// error of any statement is an error of all; the later ones are then not run.
    pub async fn answers(&mut self, script: &str, count: usize) -> Result<Vec<Vec<Row>>, Fault> {
        let run = async {
            let mut results = self.conn.query_iter(script).await?;
            let mut answers = Vec::with_capacity(count);
            for _ in 0..count {
                answers.push(results.collect::<mysql_async::Row>().await?);
            }
            results.drop_result().await?;
            Ok::<_, mysql_async::Error>(answers)
        };
        let answers = within(ANSWER_LIMIT, run).await?.into_iter();
        Ok(answers.map(|rows| rows.into_iter().map(row).collect()).collect::<Result<_, _>>()?)
    }

    /// Says a word.
    pub async fn ping(&mut self) -> Result<(), Fault> {
        within(ANSWER_LIMIT, self.conn.ping()).await
    }

    /// Says goodbye.
    pub async fn close(self) {
        // Nothing is lost when the server does not hear it.
        let _ = within(ANSWER_LIMIT, self.conn.disconnect()).await;
    }
}

/// The outcome of something asked of the server, which may take so long. After [`Fault::Lost`] the session is to be
/// dropped: an answer may still be under way.
pub(super) async fn within<T, E: Into<Fault>>(
    limit: Duration,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, Fault> {
    match timeout(limit, asked).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => Err(Fault::Lost(format!("the database has not answered for {limit:?}"))),
    }
}
