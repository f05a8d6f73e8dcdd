//! The names of the bus's channels. A namespace and a room that run together in one name with another pair only cost
//! a message that nobody there is meant by: what a message is for stands in the message.

/// Every node has it.
pub const ALL: &str = "all";

/// The channel of one node, for answers to it and for what only it has.
pub fn of_node(node: &str) -> String {
    format!("node:{node}")
}

/// The channel of the nodes with sockets in this room.
pub fn of_room(namespace: &str, room: &str) -> String {
    format!("room:{namespace}:{room}")
}
