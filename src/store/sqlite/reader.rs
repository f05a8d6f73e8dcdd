//! The threads that read, each on its own read-only connection: in WAL mode a reader never waits for a commit.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::errors::store_error;
use super::tx;
use crate::store::StoreError;
use crate::store::sql::Work;

/// Work that reads, and who waits for it.
pub(super) struct Read {
    pub work: Work,
    pub reply: oneshot::Sender<Result<(), StoreError>>,
}

pub(super) struct Reader {
    pub connection: Connection,
    /// Shared by the readers: whoever holds it takes the next one.
    pub queue: Arc<Mutex<mpsc::Receiver<Read>>>,
}

impl Reader {
    /// Works until the queue is closed and empty.
    pub fn run(mut self) {
        while let Some(Read { work, reply }) = self.next() {
            if !reply.is_closed() {
                let _ = reply.send(self.read(&work));
            }
        }
    }

    fn next(&self) -> Option<Read> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
    }

    fn read(&mut self, work: &Work) -> Result<(), StoreError> {
        let statement = |connection: &Connection, sql| {
            connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute([]))
                .map_err(store_error)
        };
        // One snapshot for all statements of the work.
        statement(&self.connection, "BEGIN")?;
        let result = tx::run(work, &mut self.connection);
        // After some errors SQLite has ended the transaction on its own.
        if !self.connection.is_autocommit() {
            statement(&self.connection, "ROLLBACK")?;
        }
        result
    }
}
