//! `tokio-socketio status`: the nodes of a cluster, for people and for programs.

use std::fmt::Write as _;

use crate::presence::{NodeStatus, PresenceError, redis};

/// The nodes of the cluster that meets at this Redis: a table, or JSON.
///
/// # Errors
/// Redis does not answer.
pub async fn status(url: &str, json: bool) -> Result<String, PresenceError> {
    let nodes = redis::status(url).await?;
    Ok(if json { as_json(&nodes) } else { as_table(&nodes) })
}

fn as_json(nodes: &[NodeStatus]) -> String {
    // Numbers and texts have no way to fail.
    serde_json::to_string_pretty(nodes).unwrap_or_default() + "\n"
}

fn as_table(nodes: &[NodeStatus]) -> String {
    if nodes.is_empty() {
        return "no node holds a lease\n".to_owned();
    }
    let head = [
        "NODE",
        "LEASE",
        "SINCE",
        "SOCKET.IO",
        "HTTP",
        "CONNECTIONS",
        "SESSIONS",
        "USERS",
        "MESSAGES",
        "STATE",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(nodes.iter().map(|node| {
        let load = &node.load;
        [
            node.node_id.clone(),
            format!("{:.1} s", node.lease_ms as f64 / 1000.0),
            node.since.to_string(),
            node.socketio.clone(),
            node.http.clone(),
            load.connections.to_string(),
            load.sessions.to_string(),
            load.users.to_string(),
            load.messages.to_string(),
            if load.draining { "draining" } else { "serving" }.to_owned(),
        ]
    }));
    let sum = |of: fn(&NodeStatus) -> u64| nodes.iter().map(of).sum::<u64>();
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            // Writing into a string has no way to fail.
            let _ = write!(text, "{cell:width$}  ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    let (connections, messages) = (sum(|node| node.load.connections), sum(|node| node.load.messages));
    let _ = writeln!(text, "{} nodes, {connections} connections, {messages} messages stored", nodes.len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::Load;
    use crate::store::Timestamp;

    #[test]
    fn a_table_for_people() {
        let node = NodeStatus {
            node_id: "node-1".into(),
            epoch: 1,
            socketio: "127.0.0.1:8081".into(),
            http: "127.0.0.1:8080".into(),
            since: Timestamp::from_unix_ms(0),
            lease_ms: 9_870,
            load: Load { connections: 12, messages: 3, draining: true, ..Load::default() },
        };
        let text = as_table(std::slice::from_ref(&node));
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("NODE    LEASE  SINCE"), "{text}");
        assert!(
            lines[1].starts_with("node-1  9.9 s  1970-01-01T00:00:00.000Z") && lines[1].ends_with("draining"),
            "{text}"
        );
        assert_eq!(lines[2], "1 nodes, 12 connections, 3 messages stored");
        assert!(as_json(&[node]).contains("\"connections\": 12"));
        assert_eq!(as_table(&[]), "no node holds a lease\n");
    }
}
