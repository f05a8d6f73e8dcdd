//! What can go wrong with a database, sorted by what is to be done about it.

use mysql_async::{Error, ServerError};

use crate::store::StoreError;

/// Why a statement, or a connection, failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The connection is gone, or of no more use. Whether the statement was carried out is not known.
    #[error("{0}")]
    Lost(String),
    /// Another transaction was in the way: this one is to be rolled back and run again.
    #[error("{0}")]
    Conflict(String),
    /// A row has the key of another one. In a race with another node this too is run again.
    #[error("{0}")]
    Duplicate(String),
    /// The database does not take these values.
    #[error("{0}")]
    Refused(String),
    /// The data is damaged, or not what this program wrote.
    #[error("{0}")]
    Corrupt(String),
    /// The database was written by a newer version of this program.
    #[error("its schema has version {found}, and this program knows versions up to {known}")]
    Newer {
        /// Its version.
        found: u32,
        /// The newest one that is known here.
        known: u32,
    },
    /// The server says no, with its error code: wrong password, unknown database, read-only, disk full, ...
    #[error("{text}")]
    Denied {
        /// The server's error code.
        code: u16,
        /// What it says.
        text: String,
    },
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Server(error) => error.into(),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<ServerError> for Fault {
    fn from(error: ServerError) -> Self {
        let text = format!("{} (error {})", error.message, error.code);
        match (error.code, error.state.get(..2)) {
            // Lock wait timeout, deadlock, changed since the last read.
            (1205 | 1213 | 1020, _) => Self::Conflict(text),
            (1062 | 1586, _) => Self::Duplicate(text),
            // Shutdown, killed, timed out for being idle: the server says so and closes the connection.
            (1053 | 1927 | 3169 | 4031, _) => Self::Lost(text),
            // Crashed tables, broken indexes and tablespaces.
            (126 | 127 | 1034 | 1035 | 1194 | 1195 | 1712 | 1812 | 1877, _) => Self::Corrupt(text),
            // Data exceptions, constraints, SIGNAL; and those that have no class of their own.
            (_, Some("22" | "23" | "45")) | (1366 | 3819, _) => Self::Refused(text),
            (code, _) => Self::Denied { code, text },
        }
    }
}

/// What is wrong with a row that was read.
impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt(text) => Self::Corrupt(text),
            other => Self::Corrupt(other.to_string()),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(text) => Self::Invalid(text),
            Fault::Duplicate(text) => Self::Conflict(text),
            Fault::Corrupt(text) => Self::Corrupt(text),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
