//! Numbers about a node, in the Prometheus text format.

use std::fmt::Write as _;

use super::Sources;

/// A number.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    value: u64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
}

/// All numbers of a node.
pub fn of(sources: &Sources) -> Vec<Metric> {
    use Kind::{Counter, Gauge};
    let (node, store) = (&sources.node, sources.store.stats());
    let metric = |name, kind, help, value| Metric { name, kind, help, value };
    let mut metrics = vec![
        metric("connections", Gauge, "TCP connections now.", node.connections() as u64),
        metric("sessions", Gauge, "Engine.IO sessions now.", node.sessions() as u64),
        metric("users", Gauge, "Users connected to this node now.", sources.im.users() as u64),
        metric("refused_total", Counter, "Connections and handshakes refused for a limit.", node.refused()),
        metric("messages_stored_total", Counter, "Messages stored.", store.appended),
        metric(
            "messages_repeated_total",
            Counter,
            "Sends answered with an earlier message.",
            store.duplicates,
        ),
        metric("messages_failed_total", Counter, "Messages that could not be stored.", store.failed),
        metric("store_commits_total", Counter, "Transactions that stored messages.", store.commits),
    ];
    if let Some(bus) = &sources.bus {
        let bus = bus.stats();
        metrics.extend([
            metric("bus_up", Gauge, "Whether messages pass between nodes.", u64::from(bus.up)),
            metric("bus_commands_total", Counter, "Commands sent to Redis by the bus.", bus.commands),
            metric("bus_published_total", Counter, "Messages that Redis took.", bus.published),
            metric("bus_received_total", Counter, "Messages of other nodes.", bus.received),
            metric(
                "bus_dropped_down_total",
                Counter,
                "Messages not sent for the bus was down.",
                bus.dropped_down,
            ),
            metric(
                "bus_dropped_overloaded_total",
                Counter,
                "Messages not sent for the queue was full.",
                bus.dropped_overloaded,
            ),
            metric("bus_dropped_refused_total", Counter, "Messages that Redis refused.", bus.dropped_refused),
            metric(
                "bus_reconnects_total",
                Counter,
                "Times that the bus was lost and came back.",
                bus.reconnects,
            ),
        ]);
    }
    metrics
}

/// The numbers as text.
pub fn render(metrics: &[Metric]) -> String {
    let mut text = String::new();
    for Metric { name, kind, help, value } in metrics {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
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
        let stored = Metric { name: "messages_stored_total", kind: Kind::Counter, help: "Stored.", value: 7 };
        let expected = "# HELP socketio_messages_stored_total Stored.\n\
                        # TYPE socketio_messages_stored_total counter\nsocketio_messages_stored_total 7\n";
        assert_eq!(render(&[stored]), expected);
    }
}
