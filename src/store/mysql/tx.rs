//! Portable SQL on a session: work that reads, each statement for itself, and work that writes, in a transaction.

use std::time::Duration;

use mysql_async::Params;
use mysql_async::prelude::Queryable as _;

use super::fault::Fault;
use super::health::Health;
use super::pool::Pool;
use super::rows;
use super::session::{ANSWER_LIMIT, SILENCE_LIMIT_S, Session, within};
use crate::store::StoreError;
use crate::store::sql::{Dialect, Row, SqlFuture, Tx, Value, Work};

/// How often a transaction is run when others keep getting in its way.
const MAX_TRIES: u32 = 10;

/// A node that stops in the middle of a transaction is not to keep its locks for long.
fn start_transaction() -> String {
    format!("SET SESSION wait_timeout = {SILENCE_LIMIT_S}; START TRANSACTION")
}
const COMMIT: &str = "COMMIT; SET SESSION wait_timeout = DEFAULT";
const ROLLBACK: &str = "ROLLBACK; SET SESSION wait_timeout = DEFAULT";

/// Does work that reads. A statement sees everything that was committed before it.
pub(super) async fn read(pool: &Pool, health: &Health, work: &Work) -> Result<(), StoreError> {
    let mut lent = pool.lend(health).await?;
    loop {
        match run(work, &mut lent.session).await {
            Ok(result) => {
                lent.give_back();
                return result;
            }
            Err(Fault::Lost(_)) if !lent.new => lent = pool.replace(lent).await?,
            Err(fault) => return Err(fault.into()),
        }
    }
}

/// Does work in a transaction, and commits it.
///
/// When the connection is lost during the commit, nobody knows whether it was done; the answer is then
/// [`StoreError::Unavailable`].
pub(super) async fn write(pool: &Pool, health: &Health, work: &Work) -> Result<(), StoreError> {
    let mut lent = pool.lend(health).await?;
    let mut tries = 0;
    loop {
        tries += 1;
        let worked = match lent.session.run(&start_transaction()).await {
            Ok(()) => run(work, &mut lent.session).await,
            Err(fault) => Err(fault),
        };
        let fault = match worked {
            Ok(Ok(())) => match lent.session.run(COMMIT).await {
                Ok(()) => {
                    lent.give_back();
                    return Ok(());
                }
                Err(Fault::Lost(text)) => {
                    return Err(StoreError::Unavailable(format!("whether it was done is not known: {text}")));
                }
                Err(fault) => fault,
            },
            Ok(Err(error)) => {
                if lent.session.run(ROLLBACK).await.is_ok() {
                    lent.give_back();
                }
                return Err(error);
            }
            Err(fault) => fault,
        };
        match fault {
            Fault::Conflict(_) if tries < MAX_TRIES => {
                lent.session.run(ROLLBACK).await?;
                tokio::time::sleep(Duration::from_millis(u64::from(tries))).await;
            }
            Fault::Lost(_) if !lent.new => lent = pool.replace(lent).await?,
            fault => return Err(fault.into()),
        }
    }
}

/// Does the work once. `Err` when the session or the transaction is of no more use, whatever the work made of that.
async fn run(work: &Work, session: &mut Session) -> Result<Result<(), StoreError>, Fault> {
    let mut tx = MysqlTx { session, fault: None };
    let result = work(&mut tx).await;
    tx.fault.map_or(Ok(result), Err)
}

struct MysqlTx<'s> {
    session: &'s mut Session,
    /// What has ended the transaction.
    fault: Option<Fault>,
}

impl MysqlTx<'_> {
    async fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone().into());
        }
        let values = match values {
            [] => Params::Empty,
            values => Params::Positional(values.iter().map(rows::value).collect()),
        };
        match within(ANSWER_LIMIT, self.session.conn.exec::<mysql_async::Row, _, _>(sql, values)).await {
            Ok(rows) => rows.into_iter().map(rows::row).collect(),
            Err(fault) => {
                if matches!(fault, Fault::Lost(_) | Fault::Conflict(_)) {
                    self.fault = Some(fault.clone());
                }
                Err(fault.into())
            }
        }
    }
}

impl Tx for MysqlTx<'_> {
    fn query<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, Vec<Row>> {
        Box::pin(self.rows(sql, values))
    }

    fn execute<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, u64> {
        Box::pin(async move {
            self.rows(sql, values).await?;
            Ok(self.session.conn.affected_rows())
        })
    }

    fn insert<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, u64> {
        Box::pin(async move {
            self.rows(sql, values).await?;
            Ok(self.session.conn.last_insert_id().unwrap_or(0))
        })
    }

    fn dialect(&self) -> Dialect {
        Dialect::MySql
    }
}
