//! Statements on the store's database, whichever it is: what lets groups, friends, users and read positions be written
//! once, in the SQL that both databases speak.
//!
//! A piece of [`Work`] runs in one transaction, and may run again where the database asks for that (a deadlock): it
//! must do nothing but speak to its [`Tx`].

use std::future::Future;
use std::pin::Pin;

use super::StoreError;

/// What a statement returns.
pub type SqlFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What is to be done in one transaction.
pub type Work = Box<dyn for<'t> Fn(&'t mut dyn Tx) -> SqlFuture<'t, ()> + Send + Sync>;

/// A transaction.
pub trait Tx: Send {
    /// Runs a statement that gives rows. `?` stands for the values in turn.
    fn query<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, Vec<Row>>;

    /// Runs a statement that changes rows, and gives how many it found to change.
    fn execute<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, u64>;

    /// Runs an `INSERT` of one row, and gives its automatic id.
    fn insert<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, u64>;

    /// Which SQL is spoken, for the few places where it matters.
    fn dialect(&self) -> Dialect;
}

/// Which SQL is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// MySQL and MariaDB.
    MySql,
}

/// A value in a statement or a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// An integer.
    Int(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A row: its values in the order of the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<Value>);
