//! Portable SQL on a connection of SQLite. Every statement is done when its future is made, so work never waits, and
//! is driven with one poll on the thread of the connection.

use std::future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::errors::store_error;
use crate::store::StoreError;
use crate::store::sql::{Dialect, Row, SqlFuture, Tx, Value, Work};

/// Statements that are kept prepared, on each connection.
pub(super) const PREPARED_STATEMENTS: usize = 256;

/// Does the work, in the transaction that is open.
pub(super) fn run(work: &Work, connection: &mut Connection) -> Result<(), StoreError> {
    let mut tx = SqliteTx(connection);
    let polled = catch_unwind(AssertUnwindSafe(|| {
        work(&mut tx).as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }));
    let wrong = match polled {
        Ok(Poll::Ready(result)) => return result,
        Ok(Poll::Pending) => "it waited for something else than the database",
        Err(_) => "it panicked",
    };
    tracing::error!("a transaction was given up: {wrong}");
    Err(StoreError::Unavailable(format!("the transaction was given up: {wrong}")))
}

struct SqliteTx<'c>(&'c mut Connection);

impl Tx for SqliteTx<'_> {
    fn query<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, Vec<Row>> {
        Box::pin(future::ready(query(self.0, sql, values)))
    }

    fn execute<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, u64> {
        Box::pin(future::ready(execute(self.0, sql, values)))
    }

    fn insert<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, u64> {
        let inserted = execute(self.0, sql, values);
        Box::pin(future::ready(inserted.map(|_| self.0.last_insert_rowid().unsigned_abs())))
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }
}

/// The rows of a statement.
pub(super) fn query(connection: &Connection, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
    let query = || -> rusqlite::Result<_> {
        let mut statement = connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            (0..columns).map(|column| row.get_ref(column).map(value)).collect::<rusqlite::Result<_>>()
        };
        statement.query_map(params_from_iter(values), row)?.map(|row| row.map(Row)).collect()
    };
    query().map_err(store_error)
}

fn execute(connection: &Connection, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
    let execute = || connection.prepare_cached(sql)?.execute(params_from_iter(values));
    execute().map(|rows| rows as u64).map_err(store_error)
}

/// Nothing that this program stores is a floating-point number; seen as null, it is found where it is read.
fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null | ValueRef::Real(_) => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Bytes(text.to_owned()),
        },
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_work(
        work: impl for<'t> Fn(&'t mut dyn Tx) -> SqlFuture<'t, ()> + Send + Sync + 'static,
    ) -> StoreError {
        run(&(Box::new(work) as Work), &mut Connection::open_in_memory().unwrap()).unwrap_err()
    }

    #[test]
    fn work_that_waits_or_panics_is_given_up() {
        let waits = run_work(|_| Box::pin(future::pending()));
        assert!(waits.to_string().contains("waited"), "{waits}");
        let panics = run_work(|_| panic!("as the test wants it"));
        assert!(panics.to_string().contains("panicked"), "{panics}");
    }

    #[test]
    fn what_does_not_fit_a_value_is_not_read() {
        let connection = Connection::open_in_memory().unwrap();
        let rows = query(&connection, "SELECT 1.5, CAST(x'ff' AS TEXT), 7", &[]).unwrap();
        assert!(rows[0].get::<u64>(0).is_err());
        assert!(rows[0].get::<String>(1).is_err());
        assert_eq!(rows[0].get(2), Ok(7u64));
        assert!(rows[0].get::<u64>(3).is_err(), "there is no such column");
    }
}
