//! Presence over Redis.
