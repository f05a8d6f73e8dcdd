//! Sessions that nodes leave to each other, in real Redis: the contract on a single server and on a cluster, what stands
//! there, and an outage.
#![cfg(feature = "redis")]

#[path = "../src/bus/sessions_contract.rs"]
mod contract;
#[allow(dead_code, reason = "each test file uses its own part of this")]
#[path = "support/redis.rs"]
mod server;

use std::sync::Arc;
use std::time::Duration;

use server::RedisServer;
use tokio_socketio::bus::redis::{RedisSessions, RedisSessionsOptions, UrlError};
use tokio_socketio::bus::{BusError, Sessions};

fn sessions(url: &str) -> Arc<RedisSessions> {
    let options = RedisSessionsOptions {
        url: url.into(),
        timeout: Duration::from_secs(10),
        ..RedisSessionsOptions::default()
    };
    Arc::new(RedisSessions::new(options).unwrap())
}

fn on_one_server() -> (RedisServer, Arc<RedisSessions>) {
    let server = RedisServer::start();
    let sessions = sessions(&server.url());
    (server, sessions)
}

contract::sessions_contract_tests!(on_one_server());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster() {
    let cluster = server::RedisCluster::start(3, 0);
    contract::one_of_many_gets_it(sessions(&cluster.url())).await;
    contract::is_taken_once(sessions(&cluster.url())).await;
}

#[tokio::test]
async fn what_stands_in_redis_goes_by_itself() {
    let (server, sessions) = on_one_server();
    sessions.put("pid", "record".into(), Duration::from_secs(100)).await.unwrap();
    assert_eq!(server.ask::<Vec<String>>("KEYS *"), ["socketio:session:pid"]);
    let left: i64 = server.ask("PTTL socketio:session:pid");
    assert!((1..=100_000).contains(&left), "{left}");
}

#[tokio::test]
async fn an_outage_fails_at_once_and_ends() {
    let (mut server, sessions) = on_one_server();
    sessions.put("a", "1".into(), Duration::from_secs(100)).await.unwrap();
    server.kill();
    assert_eq!(sessions.take("a").await, Err(BusError::Down));
    assert_eq!(sessions.put("b", "2".into(), Duration::from_secs(100)).await, Err(BusError::Down));
    server.restart();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while sessions.put("b", "2".into(), Duration::from_secs(100)).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "it does not come back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sessions.take("b").await, Ok(Some("2".into())));
    let nowhere = RedisSessionsOptions { url: "http://x".into(), ..RedisSessionsOptions::default() };
    assert_eq!(RedisSessions::new(nowhere).unwrap_err(), UrlError::Scheme);
}
