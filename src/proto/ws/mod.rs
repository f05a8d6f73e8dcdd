//! ws codec.
