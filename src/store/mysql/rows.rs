//! Between values of portable SQL and those of the driver.

use mysql_async::consts::ColumnType;
use mysql_async::{Column, Value as DriverValue};

use crate::store::StoreError;
use crate::store::sql::{Row, Value};

/// The character set of columns that hold bytes, not text.
const BINARY: u16 = 63;

/// A value as the driver knows it.
pub(super) fn value(value: &Value) -> DriverValue {
    match value {
        Value::Null => DriverValue::NULL,
        Value::Int(number) => DriverValue::Int(*number),
        Value::Text(text) => DriverValue::Bytes(text.clone().into_bytes()),
        Value::Bytes(bytes) => DriverValue::Bytes(bytes.clone()),
    }
}

/// A row as portable SQL knows it, from an answer to either a prepared statement or a text.
///
/// `VARBINARY` is for text that is equal only when its bytes are: MySQL's collations ignore spaces at the end. Other
/// binary columns hold bytes.
pub(super) fn row(row: mysql_async::Row) -> Result<Row, StoreError> {
    let columns = row.columns();
    let value = |(value, column): (DriverValue, &Column)| {
        let number = matches!(
            column.column_type(),
            ColumnType::MYSQL_TYPE_TINY
                | ColumnType::MYSQL_TYPE_SHORT
                | ColumnType::MYSQL_TYPE_INT24
                | ColumnType::MYSQL_TYPE_LONG
                | ColumnType::MYSQL_TYPE_LONGLONG
                | ColumnType::MYSQL_TYPE_NEWDECIMAL
        );
        let text =
            column.character_set() != BINARY || column.column_type() == ColumnType::MYSQL_TYPE_VAR_STRING;
        let wrong =
            || StoreError::Corrupt(format!("column {} holds {:?}", column.name_str(), column.column_type()));
        match value {
            DriverValue::NULL => Ok(Value::Null),
            DriverValue::Int(number) => Ok(Value::Int(number)),
            DriverValue::UInt(number) => i64::try_from(number).map(Value::Int).map_err(|_| wrong()),
            DriverValue::Bytes(bytes) if number => std::str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.parse().ok())
                .map(Value::Int)
                .ok_or_else(wrong),
            DriverValue::Bytes(bytes) if text => {
                String::from_utf8(bytes).map(Value::Text).map_err(|_| wrong())
            }
            DriverValue::Bytes(bytes) => Ok(Value::Bytes(bytes)),
            _ => Err(wrong()),
        }
    };
    row.unwrap().into_iter().zip(columns.iter()).map(value).collect::<Result<_, _>>().map(Row)
}
