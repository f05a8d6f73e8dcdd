//! Numbers about a node, in the Prometheus text format.

use std::fmt::Write as _;

use crate::shard::Node;
use crate::store::StoreStats;

/// All numbers.
pub fn render(node: &Node, store: &StoreStats) -> String {
    let numbers = [
        ("connections", "gauge", "TCP connections now.", node.connections() as u64),
        ("sessions", "gauge", "Engine.IO sessions now.", node.sessions() as u64),
        ("refused_total", "counter", "Connections and handshakes refused for a limit.", node.refused()),
        ("messages_stored_total", "counter", "Messages stored.", store.appended),
        (
            "messages_repeated_total",
            "counter",
            "Sends answered with a message stored before.",
            store.duplicates,
        ),
        ("messages_failed_total", "counter", "Messages that could not be stored.", store.failed),
        ("store_commits_total", "counter", "Transactions that stored messages.", store.commits),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in numbers {
        // Writing into a string has no way to fail.
        let _ = writeln!(
            text,
            "# HELP socketio_{name} {help}\n# TYPE socketio_{name} {kind}\nsocketio_{name} {value}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_its_help_and_type() {
        let text = render(&Node::default(), &StoreStats { appended: 7, ..StoreStats::default() });
        assert!(
            text.contains(
                "# TYPE socketio_messages_stored_total counter\nsocketio_messages_stored_total 7\n"
            )
        );
        assert_eq!(text.lines().count() % 3, 0);
    }
}
