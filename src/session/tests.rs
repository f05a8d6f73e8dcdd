//! The Engine.IO session on virtual time: no clock, no socket, no sleep.
//!
//! What is right is taken from the protocol document (version 4, its test suite included) and from the
//! reference server, engine.io 6. [`shell`] stands where the real shell stands and says exactly what went
//! out; [`pair`] adds a client and the way to it, for what depends on who is faster.

mod pair;
mod races;
mod rules;
mod shell;
mod upgrade;
