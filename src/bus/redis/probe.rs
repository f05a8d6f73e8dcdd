//! What a server is asked to show that it is there, and still what it should be.

use super::resp::Value;

/// What a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// PING.
    Ping,
    /// ROLE, and it must be master: a replica takes PUBLISH as well, and tells it to nobody but its own subscribers.
    Master,
    /// CLUSTER INFO, and it must be well: a master that has lost touch with most others still keeps its subscribers,
    /// while everybody else is with its successor.
    Cluster,
}

impl Probe {
    pub fn command(self) -> &'static [&'static str] {
        match self {
            Self::Ping => &["PING"],
            Self::Master => &["ROLE"],
            Self::Cluster => &["CLUSTER", "INFO"],
        }
    }

    /// Whether a server that answers like this is what it should be.
    pub fn is_passed(self, answer: &Value) -> bool {
        match (self, answer) {
            (Self::Ping, _) => true,
            (Self::Master, Value::Array(role)) => role.first().and_then(Value::text) == Some("master"),
            (Self::Cluster, info) => info.text().is_some_and(|info| info.contains("cluster_state:ok")),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes() {
        let text = |text: &'static str| Value::Text(text.into());
        assert!(Probe::Ping.is_passed(&text("PONG")));
        assert!(Probe::Master.is_passed(&Value::Array(vec![text("master"), Value::Integer(0)])));
        assert!(!Probe::Master.is_passed(&Value::Array(vec![text("slave")])));
        assert!(!Probe::Master.is_passed(&text("master")));
        assert!(Probe::Cluster.is_passed(&text("cluster_enabled:1\r\ncluster_state:ok\r\n")));
        assert!(!Probe::Cluster.is_passed(&text("cluster_state:fail")));
    }
}
