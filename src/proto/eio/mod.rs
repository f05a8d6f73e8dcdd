//! eio codec.
