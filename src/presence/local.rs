//! Presence on a single node: in memory.

/// Presence of a node that is alone.
#[derive(Debug, Default)]
pub struct LocalPresence {}
