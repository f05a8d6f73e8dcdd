//! The contract of a bus, on every kind of Redis.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_socketio::bus::redis::{DirectOptions, PubSubMode, RedisBus, RedisOptions};
use tokio_socketio::bus::{Bus, Sink};

use super::contract::{self, Cluster, LINGER, PATIENCE, Recorder};
use super::server::{RedisCluster, RedisServer};
use super::wait_until;

/// A cluster of ours on one Redis, with channels of its own.
struct Nodes<S> {
    options: RedisOptions,
    _server: Arc<S>,
    direct: Direct,
    joined: Mutex<Vec<Weak<RedisBus>>>,
}

/// Whether messages go past Redis.
#[derive(Clone, Copy, PartialEq)]
enum Direct {
    No,
    /// As soon as the nodes have reached each other, which may be in the middle of a test.
    Soon,
    /// From the beginning.
    Yes,
}

impl<S> Nodes<S> {
    fn new(server: Arc<S>, url: String, pubsub: PubSubMode, linger: Duration) -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("socketio:{}:", LAST.fetch_add(1, Ordering::Relaxed));
        let options = RedisOptions { url, pubsub, linger, prefix, ..RedisOptions::default() };
        Self { options, _server: server, direct: Direct::No, joined: Mutex::default() }
    }

    fn direct(self, direct: Direct) -> Self {
        Self { direct, ..self }
    }

    /// The buses that are open.
    fn open(&self) -> Vec<Arc<RedisBus>> {
        self.joined.lock().unwrap().iter().filter_map(Weak::upgrade).filter(|bus| bus.is_up()).collect()
    }
}

impl<S> Cluster for Nodes<S> {
    async fn join(&self, sink: Arc<dyn Sink>) -> Arc<dyn Bus> {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let node = format!("node {}", LAST.fetch_add(1, Ordering::Relaxed));
        let direct = (self.direct != Direct::No).then(|| DirectOptions::new(node));
        let options = RedisOptions { direct, ..self.options.clone() };
        let bus = RedisBus::connect(options, sink).await.unwrap();
        assert!(bus.is_up(), "the bus should be up at once");
        self.joined.lock().unwrap().push(Arc::downgrade(&bus));
        if self.direct == Direct::Yes {
            let all = self.open();
            let reach = |bus: &Arc<RedisBus>| bus.stats().reached_directly == all.len() - 1;
            wait_until("all reach each other", || all.iter().all(reach)).await;
        }
        bus
    }
}

/// What several tests of this process share while any of them uses it.
fn shared<T>(place: &Mutex<Weak<T>>, start: impl FnOnce() -> T) -> Arc<T> {
    let mut place = place.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    place.upgrade().unwrap_or_else(|| {
        let started = Arc::new(start());
        *place = Arc::downgrade(&started);
        started
    })
}

mod classic {
    use super::*;

    fn nodes(linger: Duration) -> Nodes<RedisServer> {
        static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
        let server = shared(&SERVER, RedisServer::start);
        let url = server.url();
        Nodes::new(server, url, PubSubMode::Auto, linger)
    }

    contract::contract_tests!(nodes(Duration::ZERO), nodes(LINGER));
    contract::fence_tests!(nodes(Duration::ZERO));
}

mod direct {
    use super::*;

    fn nodes(direct: Direct, linger: Duration) -> Nodes<RedisServer> {
        static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
        let server = shared(&SERVER, RedisServer::start);
        let url = server.url();
        Nodes::new(server, url, PubSubMode::Auto, linger).direct(direct)
    }

    mod soon {
        use super::*;
        contract::contract_tests!(nodes(Direct::Soon, Duration::ZERO), nodes(Direct::Soon, LINGER));
        contract::fence_tests!(nodes(Direct::Soon, Duration::ZERO));
    }

    mod at_once {
        use super::*;
        contract::contract_tests!(nodes(Direct::Yes, Duration::ZERO), nodes(Direct::Yes, LINGER));
        contract::fence_tests!(nodes(Direct::Yes, Duration::ZERO));
    }
}

mod sharded {
    use super::*;

    fn nodes(linger: Duration) -> Nodes<RedisServer> {
        static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
        let server = shared(&SERVER, RedisServer::start);
        let url = server.url();
        Nodes::new(server, url, PubSubMode::Sharded, linger)
    }

    contract::contract_tests!(nodes(Duration::ZERO), nodes(LINGER));
    contract::fence_tests!(nodes(Duration::ZERO));
}

mod redis_6 {
    use super::*;

    /// Redis 6.2, where `scripts/setup.sh` has put it. Not every machine can have it.
    fn binary() -> Option<PathBuf> {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-tests/.cache/redis-6.2/redis-server");
        if !place.is_file() {
            eprintln!("left out, for there is no {}: scripts/setup.sh gets it", place.display());
            return None;
        }
        Some(place)
    }

    fn nodes(binary: &Path, linger: Duration) -> Nodes<RedisServer> {
        static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
        let server = shared(&SERVER, || RedisServer::start_with(binary, &[]));
        assert!(server.ask::<String>("INFO server").contains("redis_version:6.2"));
        let url = server.url();
        Nodes::new(server, url, PubSubMode::Auto, linger)
    }

    macro_rules! nodes_or_leave_out {
        ($linger:expr) => {
            match binary() {
                Some(binary) => nodes(&binary, $linger),
                None => return,
            }
        };
    }

    contract::contract_tests!(nodes_or_leave_out!(Duration::ZERO), nodes_or_leave_out!(LINGER));
    contract::fence_tests!(nodes_or_leave_out!(Duration::ZERO));

    #[tokio::test]
    async fn sharded_is_not_to_be_had() {
        let Some(binary) = binary() else { return };
        let server = RedisServer::start_with(&binary, &[]);
        let recorder = Recorder::new();
        let options =
            RedisOptions { url: server.url(), pubsub: PubSubMode::Sharded, ..RedisOptions::default() };
        let bus = RedisBus::connect(options, recorder.clone()).await.unwrap();
        drop(bus.subscribe("x"));
        recorder.wait_for("lost").await;
        sleep(Duration::from_millis(300)).await;
        assert!(!bus.is_up());
        timeout(PATIENCE, bus.close()).await.unwrap();
    }
}

mod cluster {
    use super::*;

    fn nodes(pubsub: PubSubMode, linger: Duration) -> Nodes<RedisCluster> {
        static CLUSTER: Mutex<Weak<RedisCluster>> = Mutex::new(Weak::new());
        let cluster = shared(&CLUSTER, || RedisCluster::start(3, 0));
        let url = cluster.url();
        Nodes::new(cluster, url, pubsub, linger)
    }

    mod sharded {
        use super::*;
        contract::contract_tests!(nodes(PubSubMode::Auto, Duration::ZERO), nodes(PubSubMode::Auto, LINGER));
        contract::fence_tests!(nodes(PubSubMode::Auto, Duration::ZERO));
    }

    mod direct {
        use super::*;

        fn nodes(linger: Duration) -> Nodes<RedisCluster> {
            super::nodes(PubSubMode::Auto, linger).direct(Direct::Yes)
        }

        contract::contract_tests!(nodes(Duration::ZERO), nodes(LINGER));
        contract::fence_tests!(nodes(Duration::ZERO));
    }

    mod classic {
        use super::*;
        contract::contract_tests!(
            nodes(PubSubMode::Classic, Duration::ZERO),
            nodes(PubSubMode::Classic, LINGER)
        );

        #[tokio::test]
        async fn has_no_direct_connections() {
            let nodes = nodes(PubSubMode::Classic, Duration::ZERO).direct(Direct::Soon);
            contract::reaches_every_other_subscriber_and_not_itself(&nodes).await;
            assert!(nodes.open().iter().all(|bus| bus.stats().reached_directly == 0));
        }
    }
}
