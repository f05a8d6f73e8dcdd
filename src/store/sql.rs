//! Statements on the store's database, whichever it is: what lets groups, friends, users and read positions be written
//! once, in the SQL that both databases speak.
//!
//! A piece of [`Work`] runs in one transaction, and may run again where the database asks for that (a deadlock): it
//! must do nothing but speak to its [`Tx`]. Each statement sees at least what was committed before it and what its own
//! transaction did. On MySQL that is READ COMMITTED, so what must not change before the commit is selected with
//! [`Dialect::for_update`]. SQLite writes from one thread, where nothing changes meanwhile.

use std::future::Future;
use std::pin::Pin;

use super::{StoreError, Timestamp};

/// What a statement returns.
pub type SqlFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What is to be done in one transaction. When it gives an error, whatever it did is undone.
pub type Work = Box<dyn for<'t> Fn(&'t mut dyn Tx) -> SqlFuture<'t, ()> + Send + Sync>;

/// A transaction.
///
/// A statement that fails changes nothing, and the transaction may go on: [`StoreError::Conflict`] says that a row
/// with the same unique key exists.
pub trait Tx: Send {
    /// Runs a statement that gives rows. `?` stands for the values in turn.
    fn query<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> SqlFuture<'a, Vec<Row>>;

    /// Runs a statement that changes rows, and gives how many it found to change, whether or not they had the new
    /// values before.
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

impl Dialect {
    /// Ends a `SELECT` whose rows nobody else may change before the commit.
    pub fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MySql => " FOR UPDATE",
        }
    }

    /// Begins an `INSERT` that leaves out rows whose key exists. MySQL also cuts texts that are too long then, so it
    /// is for tables of numbers.
    pub fn insert_absent(self) -> &'static str {
        match self {
            Self::Sqlite => "INSERT OR IGNORE",
            Self::MySql => "INSERT IGNORE",
        }
    }
}

/// Runs an `INSERT` of one row, and says whether it was new: `false` when its key exists.
///
/// # Errors
/// Those of the statement, but for [`StoreError::Conflict`].
pub(in crate::store) async fn insert_new(
    tx: &mut dyn Tx,
    sql: &str,
    values: &[Value],
) -> Result<bool, StoreError> {
    match tx.execute(sql, values).await {
        Ok(_) => Ok(true),
        Err(StoreError::Conflict(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a statement finds a row.
pub(in crate::store) async fn finds(
    tx: &mut dyn Tx,
    sql: &str,
    values: &[Value],
) -> Result<bool, StoreError> {
    Ok(!tx.query(sql, values).await?.is_empty())
}

/// The items of a list that an `IN (…)` may have at most; longer lists go in several statements.
pub(in crate::store) const MAX_LIST: usize = 512;

/// The list of an `IN`: its text and its values. It is filled up to a power of two with its last item, so that there are
/// few different statements to prepare. An empty one holds nothing.
pub(in crate::store) fn list<T: Clone + Into<Value>>(items: &[T]) -> (String, Vec<Value>) {
    let Some(last) = items.last() else { return ("(NULL)".to_owned(), Vec::new()) };
    let count = items.len().next_power_of_two();
    let filler = std::iter::repeat_n(last, count - items.len());
    let values = items.iter().chain(filler).cloned().map(Into::into).collect();
    (format!("({})", vec!["?"; count].join(", ")), values)
}

/// The pairs of ids that `select … IN` finds for each of many.
pub(in crate::store) async fn pairs(
    tx: &mut dyn Tx,
    select: &str,
    ids: &[u64],
) -> Result<Vec<(u64, u64)>, StoreError> {
    let mut pairs = Vec::new();
    for ids in ids.chunks(MAX_LIST) {
        let (list, values) = list(ids);
        for row in tx.query(&format!("{select} IN {list}"), &values).await? {
            pairs.push((row.get(0)?, row.get(1)?));
        }
    }
    Ok(pairs)
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

/// Integers in SQL are signed. Nothing that is stored is above 2^53, so what does not fit is above everything.
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Int(flag.into())
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Int(at.unix_ms())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The values of a statement, each [`Into`] a [`Value`].
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::sql::Value::from($value)),*] };
}
pub(in crate::store) use values;

/// A row: its values in the order of the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// The value of a column, counted from 0.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: there is none, or one of another type.
    pub fn get<T: FromValue>(&self, column: usize) -> Result<T, StoreError> {
        self.0.get(column).and_then(T::from_value).ok_or_else(|| {
            StoreError::Corrupt(format!("a row has {:?} in column {column}", self.0.get(column)))
        })
    }
}

/// What a column can be read as.
pub trait FromValue: Sized {
    /// `None` when the value is of another type.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }
}

impl FromValue for u64 {
    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value)?.try_into().ok()
    }
}

impl FromValue for u32 {
    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value)?.try_into().ok()
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value).map(|number| number != 0)
    }
}

impl FromValue for Timestamp {
    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value).map(Self::from_unix_ms)
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

/// A UUID is stored as its 16 bytes.
impl FromValue for uuid::Uuid {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Self::from_slice(bytes).ok(),
            _ => None,
        }
    }
}

impl From<uuid::Uuid> for Value {
    fn from(id: uuid::Uuid) -> Self {
        Self::Bytes(id.as_bytes().to_vec())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_filled_up() {
        assert_eq!(list::<u64>(&[]), ("(NULL)".to_owned(), vec![]));
        assert_eq!(list(&[7u64]), ("(?)".to_owned(), vec![Value::Int(7)]));
        let (text, values) = list(&[1u64, 2, 3]);
        assert_eq!(text, "(?, ?, ?, ?)");
        assert_eq!(values, [1, 2, 3, 3].map(Value::Int));
    }
}
