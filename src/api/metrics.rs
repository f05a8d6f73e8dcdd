//! Numbers about a node, in the Prometheus text format.

use std::fmt::Write as _;

use super::Sources;
use crate::close::CloseReason;
use crate::shard::Limit;

/// A number.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    name: &'static str,
    /// Which of several of this name: a label and its value.
    label: Option<(&'static str, &'static str)>,
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
pub fn of(sources: &Sources, store_is_up: bool) -> Vec<Metric> {
    use Kind::{Counter, Gauge};
    let (node, store) = (&sources.node, sources.store.stats());
    let metric = |name, kind, help, value| Metric { name, label: None, kind, help, value };
    let mut metrics = vec![
        metric("connections", Gauge, "TCP connections now.", node.connections() as u64),
        metric("sessions", Gauge, "Engine.IO sessions now.", node.sessions() as u64),
        metric("users", Gauge, "Users connected to this node now.", sources.im.users() as u64),
        metric("refused_total", Counter, "Connections and handshakes refused for a limit.", node.refused()),
    ];
    metrics.extend(limits_reached(sources));
    metrics.extend(CloseReason::ALL.iter().map(|reason| Metric {
        name: "sessions_closed_total",
        label: Some(("reason", reason.as_str())),
        kind: Counter,
        help: "Sessions that have ended, by the reason.",
        value: node.tally().closed(*reason),
    }));
    metrics.extend([
        metric("messages_stored_total", Counter, "Messages stored.", store.appended),
        metric(
            "messages_repeated_total",
            Counter,
            "Sends answered with an earlier message.",
            store.duplicates,
        ),
        metric(
            "messages_failed_total",
            Counter,
            "Messages that could not be stored, as their senders know.",
            sources.im.not_stored(),
        ),
        metric("store_up", Gauge, "Whether the database answers, and takes messages.", store_is_up.into()),
        metric("store_commits_total", Counter, "Transactions that stored messages.", store.commits),
    ]);
    if let Some(bus) = &sources.bus {
        let bus = bus.stats();
        metrics.extend([
            metric("bus_up", Gauge, "Whether messages pass between nodes.", u64::from(bus.up)),
            metric("bus_commands_total", Counter, "Commands sent to Redis by the bus.", bus.commands),
            metric("bus_published_total", Counter, "Messages that Redis took.", bus.published),
            metric(
                "bus_sent_directly_total",
                Counter,
                "Messages sent to other nodes directly, once for each.",
                bus.sent_directly,
            ),
            metric("bus_received_total", Counter, "Messages of other nodes.", bus.received),
            metric(
                "bus_received_directly_total",
                Counter,
                "Messages of other nodes that came directly.",
                bus.received_directly,
            ),
            metric(
                "bus_reached_directly",
                Gauge,
                "Other nodes that messages go to directly.",
                bus.reached_directly as u64,
            ),
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

/// Every limit on what clients may use, by the name of its setting.
fn limits_reached(sources: &Sources) -> impl Iterator<Item = Metric> {
    let tally = sources.node.tally();
    let of_connections = Limit::ALL.iter().map(|limit| (limit.as_str(), tally.reached(*limit)));
    let of_users = sources.im.limits_reached().into_iter().chain(sources.accounts.limits_reached());
    of_connections.chain(of_users).map(|(limit, value)| Metric {
        name: "limit_reached_total",
        label: Some(("limit", limit)),
        kind: Kind::Counter,
        help: "Times that somebody was refused, cut off or left out for a limit, by its setting.",
        value,
    })
}

/// The numbers as text. Those of one name stand together.
pub fn render(metrics: &[Metric]) -> String {
    let (mut text, mut last) = (String::new(), "");
    for Metric { name, label, kind, help, value } in metrics {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let label = label.map(|(label, value)| format!("{{{label}=\"{value}\"}}")).unwrap_or_default();
        // Writing into a string has no way to fail.
        if *name != last {
            let _ = writeln!(text, "# HELP socketio_{name} {help}\n# TYPE socketio_{name} {kind}");
        }
        let _ = writeln!(text, "socketio_{name}{label} {value}");
        last = name;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_its_help_and_type() {
        let kind = Kind::Counter;
        let stored = Metric { name: "messages_stored_total", label: None, kind, help: "Stored.", value: 7 };
        let closed = |reason, value| Metric {
            name: "closed_total",
            label: Some(("reason", reason)),
            kind,
            help: "Closed.",
            value,
        };
        let expected = "# HELP socketio_messages_stored_total Stored.\n\
                        # TYPE socketio_messages_stored_total counter\n\
                        socketio_messages_stored_total 7\n\
                        # HELP socketio_closed_total Closed.\n\
                        # TYPE socketio_closed_total counter\n\
                        socketio_closed_total{reason=\"slow reader\"} 1\n\
                        socketio_closed_total{reason=\"parse error\"} 0\n";
        assert_eq!(render(&[stored, closed("slow reader", 1), closed("parse error", 0)]), expected);
    }
}
