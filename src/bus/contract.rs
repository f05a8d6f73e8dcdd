//! What every [`Bus`] must do, as tests that an implementation runs with [`contract_tests!`].
//!
//! Each test is given a cluster of its own, and uses nothing but the trait. The integration tests of the bus over Redis
//! include this file, too, so it names the library's types through its parent module.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::{Bus, BusError, Sink};

/// How long anything may take before a test gives up. No test waits so long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The linger of the tests of lingering: longer than a busy machine makes a test pause between two calls.
pub const LINGER: Duration = Duration::from_secs(2);

/// Where buses of one cluster come from.
pub trait Cluster {
    /// A bus for one more node, which is up.
    fn join(&self, sink: Arc<dyn Sink>) -> impl Future<Output = Arc<dyn Bus>>;
}

/// One `#[tokio::test]` for each rule of the contract. `$open` is an expression that makes a cluster whose buses
/// don't linger, `$lingering` one whose buses do, for [`LINGER`]. `contract` must be in scope.
macro_rules! contract_tests {
    ($open:expr, $lingering:expr) => { contract::contract_tests! { @each
        $open => reaches_every_other_subscriber_and_not_itself
        $open => channels_are_apart
        $open => counts_subscriptions
        $open => gives_up_what_was_never_asked_for
        $open => subscribing_again_at_once_is_in_force
        $lingering => a_quick_return_within_the_linger_misses_nothing
        $lingering => the_linger_ends
        $open => keeps_the_order_of_each_sender
        $open => one_channel_is_told_one_message_at_a_time
        $open => sinks_may_use_the_bus
        $open => carries_empty_and_large_messages
        $open => any_channel_name_will_do
        $open => carries_many_channels
        $open => a_dropped_future_still_subscribes
        $open => sends_what_is_queued_when_it_closes
        $open => a_closed_bus_refuses
    } };
    (@each $($open:expr => $name:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            contract::$name(&$open).await;
        }
    )* };
}
pub(crate) use contract_tests;

/// The same for the rule about the fence, which not every kind of Redis can keep.
macro_rules! fence_tests {
    ($open:expr) => {
        contract::contract_tests! { @each
            $open => a_fence_comes_after_all_that_was_published
        }
    };
}
pub(crate) use fence_tests;

/// A sink that remembers what it is told.
#[derive(Default)]
pub struct Recorder {
    told: Mutex<Vec<String>>,
    news: Notify,
}

impl Recorder {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn tell(&self, what: String) {
        self.told.lock().unwrap().push(what);
        self.news.notify_waiters();
    }

    /// All that it was told so far: messages as `channel: text`, `lost` and `restored`.
    pub fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    /// Waits until it has been told this; fails with what it was told instead.
    pub async fn wait_for(&self, what: &str) {
        self.wait_until(what, |told| told.iter().any(|told| told == what)).await;
    }

    /// Waits until what it was told is as `enough` says.
    pub async fn wait_until(&self, what: &str, enough: impl Fn(&[String]) -> bool) {
        let wait = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if enough(&self.told.lock().unwrap()) {
                    return;
                }
                news.await;
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            let told = self.told();
            let last = &told[told.len().saturating_sub(20)..];
            panic!("waited in vain for {what:?}; of {} things it was told the last are {last:?}", told.len());
        }
    }
}

impl Sink for Recorder {
    fn message(&self, channel: &str, message: Bytes) {
        self.tell(format!("{channel}: {}", String::from_utf8_lossy(&message)));
    }

    fn lost(&self) {
        self.tell("lost".into());
    }

    fn restored(&self) {
        self.tell("restored".into());
    }
}

/// A sink that does something with each message.
struct Each<F>(F);

impl<F: Fn(&str, Bytes) + Send + Sync + 'static> Sink for Each<F> {
    fn message(&self, channel: &str, message: Bytes) {
        (self.0)(channel, message);
    }
}

async fn node(cluster: &impl Cluster) -> (Arc<dyn Bus>, Arc<Recorder>) {
    let recorder = Recorder::new();
    (cluster.join(recorder.clone()).await, recorder)
}

async fn subscribe(bus: &Arc<dyn Bus>, channel: &str) {
    timeout(PATIENCE, bus.subscribe(channel))
        .await
        .expect("the subscription in time")
        .expect("the subscription");
}

/// Publishes; a full queue is waited for.
async fn publish(bus: &Arc<dyn Bus>, channel: &str, message: impl Into<Bytes>) {
    let message = message.into();
    while let Err(error) = bus.publish(channel, message.clone()) {
        assert_eq!(error, BusError::Overloaded);
        sleep(Duration::from_millis(1)).await;
    }
}

pub async fn reaches_every_other_subscriber_and_not_itself(cluster: &impl Cluster) {
    let (bus_a, a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    let (bus_c, c) = node(cluster).await;
    assert!(bus_a.is_up() && bus_b.is_up() && bus_c.is_up());
    for bus in [&bus_a, &bus_b, &bus_c] {
        subscribe(bus, "x").await;
    }
    publish(&bus_a, "x", "from a").await;
    b.wait_for("x: from a").await;
    c.wait_for("x: from a").await;
    publish(&bus_b, "x", "from b").await;
    a.wait_for("x: from b").await;
    c.wait_for("x: from b").await;
    assert_eq!(a.told(), ["x: from b"]);
    assert_eq!(b.told(), ["x: from a"]);
}

pub async fn channels_are_apart(cluster: &impl Cluster) {
    let (bus_a, _a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    subscribe(&bus_b, "x").await;
    subscribe(&bus_b, "end").await;
    for channel in ["", "x1", "X", "*", "xx", "y"] {
        publish(&bus_a, channel, "no").await;
    }
    publish(&bus_a, "x", "yes").await;
    publish(&bus_a, "end", "").await;
    b.wait_for("x: yes").await;
    b.wait_for("end: ").await;
    assert_eq!(b.told().len(), 2, "{:?}", b.told());
}

/// Publishes on a channel until nothing of it arrives any more.
async fn wait_for_silence(bus: &Arc<dyn Bus>, channel: &str, recorder: &Recorder) {
    let wait = async {
        for round in 0.. {
            publish(bus, channel, format!("round {round}")).await;
            let end = format!("{channel}, round {round}");
            // Another channel's message shows that the round is over: both may take different ways, so twice.
            for half in ["1", "2"] {
                publish(bus, "end", format!("{end} {half}")).await;
                recorder.wait_for(&format!("end: {end} {half}")).await;
            }
            sleep(Duration::from_millis(20)).await;
            if !recorder.told().contains(&format!("{channel}: round {round}")) {
                return;
            }
        }
    };
    timeout(PATIENCE, wait).await.expect("the channel should fall silent");
}

pub async fn counts_subscriptions(cluster: &impl Cluster) {
    let (bus_a, _a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    subscribe(&bus_b, "end").await;
    for _ in 0..3 {
        subscribe(&bus_b, "x").await;
    }
    bus_b.unsubscribe("x");
    bus_b.unsubscribe("x");
    // Were it given up by now, this would come after that on the same way.
    subscribe(&bus_b, "y").await;
    publish(&bus_a, "x", "still").await;
    b.wait_for("x: still").await;
    bus_b.unsubscribe("x");
    wait_for_silence(&bus_a, "x", &b).await;
}

pub async fn gives_up_what_was_never_asked_for(cluster: &impl Cluster) {
    let (bus_a, _a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    bus_b.unsubscribe("x");
    subscribe(&bus_b, "x").await;
    publish(&bus_a, "x", "1").await;
    b.wait_for("x: 1").await;
}

pub async fn subscribing_again_at_once_is_in_force(cluster: &impl Cluster) {
    let (bus_a, _a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    for round in 0..100 {
        subscribe(&bus_b, "x").await;
        publish(&bus_a, "x", format!("{round}")).await;
        b.wait_for(&format!("x: {round}")).await;
        bus_b.unsubscribe("x");
        if round % 3 == 0 {
            // Some of the time, let it get under way.
            subscribe(&bus_b, &format!("other {round}")).await;
        }
    }
}

pub async fn a_quick_return_within_the_linger_misses_nothing(cluster: &impl Cluster) {
    let (bus_a, _a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    subscribe(&bus_b, "x").await;
    for round in 0..50 {
        bus_b.unsubscribe("x");
        publish(&bus_a, "x", format!("{round}")).await;
        drop(bus_b.subscribe("x"));
    }
    b.wait_for("x: 49").await;
    assert_eq!(b.told(), (0..50).map(|round| format!("x: {round}")).collect::<Vec<_>>());
}

pub async fn the_linger_ends(cluster: &impl Cluster) {
    let (bus_a, _a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    subscribe(&bus_b, "end").await;
    subscribe(&bus_b, "x").await;
    bus_b.unsubscribe("x");
    wait_for_silence(&bus_a, "x", &b).await;
    subscribe(&bus_b, "x").await;
    publish(&bus_a, "x", "back").await;
    b.wait_for("x: back").await;
}

pub async fn keeps_the_order_of_each_sender(cluster: &impl Cluster) {
    const EACH: usize = 2000;
    const CHANNELS: [&str; 3] = ["x", "y", "z"];
    let (bus_a, _a) = node(cluster).await;
    let (bus_b, _b) = node(cluster).await;
    let (bus_c, c) = node(cluster).await;
    for channel in CHANNELS {
        subscribe(&bus_c, channel).await;
    }
    let send = async |bus: &Arc<dyn Bus>, name: &str| {
        for n in 0..EACH {
            for channel in CHANNELS {
                publish(bus, channel, format!("{name} {n}")).await;
            }
            if n % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(send(&bus_a, "a"), send(&bus_b, "b"));
    c.wait_until("all messages", |told| told.len() == 2 * CHANNELS.len() * EACH).await;
    let mut next: HashMap<String, usize> = HashMap::new();
    for told in c.told() {
        let (of, n) = told.rsplit_once(' ').unwrap();
        let next = next.entry(of.to_owned()).or_default();
        assert_eq!(n.parse(), Ok(*next), "the next of {of}");
        *next += 1;
    }
}

pub async fn one_channel_is_told_one_message_at_a_time(cluster: &impl Cluster) {
    const EACH: usize = 300;
    let inside = Arc::new(AtomicUsize::new(0));
    let (done, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let sink = Each({
        let (inside, done, most) = (inside.clone(), done.clone(), most.clone());
        move |_: &str, _| {
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
            done.fetch_add(1, Ordering::SeqCst);
        }
    });
    let listener = cluster.join(Arc::new(sink)).await;
    subscribe(&listener, "x").await;
    let mut senders = Vec::new();
    for _ in 0..4 {
        let (bus, _) = node(cluster).await;
        senders.push(tokio::spawn(async move {
            for _ in 0..EACH {
                publish(&bus, "x", "m").await;
            }
            bus
        }));
    }
    let mut buses = Vec::new();
    for sender in senders {
        buses.push(sender.await.unwrap());
    }
    let wait = async {
        while done.load(Ordering::SeqCst) < 4 * EACH {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("every message arrives");
    assert_eq!(most.load(Ordering::SeqCst), 1, "calls at a time");
}

pub async fn a_fence_comes_after_all_that_was_published(cluster: &impl Cluster) {
    const CHANNELS: [&str; 3] = ["x", "y", "z"];
    let (bus_a, _a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    let (bus_c, c) = node(cluster).await;
    for bus in [&bus_b, &bus_c] {
        for channel in CHANNELS {
            subscribe(bus, channel).await;
        }
    }
    for round in 0..200 {
        for channel in CHANNELS {
            publish(&bus_a, channel, format!("{round}")).await;
        }
        // Once another node has heard it, it has been published.
        let heard = |told: &[String]| told.len() == (round + 1) * CHANNELS.len();
        b.wait_until("the round", heard).await;
        timeout(PATIENCE, bus_c.settle()).await.expect("the fence in time");
        assert!(heard(&c.told()), "round {round}: {} were told", c.told().len());
    }
    bus_c.close().await;
    timeout(PATIENCE, bus_c.settle()).await.expect("a closed bus has nothing to tell");
}

/// Two nodes that throw a ball to each other from within their sinks.
pub async fn sinks_may_use_the_bus(cluster: &impl Cluster) {
    let (bus_c, c) = node(cluster).await;
    subscribe(&bus_c, "end").await;
    let player = async |hears: &'static str, says: &'static str| {
        let own: Arc<OnceLock<Arc<dyn Bus>>> = Arc::default();
        let sink = Each({
            let own = own.clone();
            move |_: &str, message: Bytes| {
                let bus = own.get().expect("nobody throws before both are there");
                let throws: u64 = std::str::from_utf8(&message).unwrap().parse().unwrap();
                drop(bus.subscribe("another"));
                bus.unsubscribe("another");
                assert!(bus.is_up());
                let (channel, throws) = if throws == 0 { ("end", 0) } else { (says, throws - 1) };
                bus.publish(channel, throws.to_string().into()).unwrap();
            }
        });
        let bus = cluster.join(Arc::new(sink)).await;
        subscribe(&bus, hears).await;
        own.get_or_init(|| bus.clone());
        bus
    };
    let a = player("ping", "pong").await;
    let b = player("pong", "ping").await;
    publish(&bus_c, "ping", "500").await;
    c.wait_for("end: 0").await;
    // The sinks own their buses: this ends the circle.
    a.close().await;
    b.close().await;
}

pub async fn carries_empty_and_large_messages(cluster: &impl Cluster) {
    let received = Arc::new(Mutex::new(Vec::new()));
    let sink = Each({
        let received = received.clone();
        move |_: &str, message| received.lock().unwrap().push(message)
    });
    let listener = cluster.join(Arc::new(sink)).await;
    subscribe(&listener, "x").await;
    let (bus, _recorder) = node(cluster).await;
    let sizes = [0, 1, 7, 8, 9, 1000, 65_536, 1 << 20, 0, (1 << 20) + 1, 3];
    let sent: Vec<Bytes> = sizes.iter().map(|size| (0..*size).map(|n| (n % 251) as u8).collect()).collect();
    for message in &sent {
        publish(&bus, "x", message.clone()).await;
    }
    let wait = async {
        while received.lock().unwrap().len() < sent.len() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("every message arrives");
    assert!(*received.lock().unwrap() == sent, "what arrived is what was sent");
}

pub async fn any_channel_name_will_do(cluster: &impl Cluster) {
    let (bus_a, _a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    for channel in ["", " ", "a b\r\nc", "\0", "ünï", "{x}", "{}", "}{", "*", "$5", "room:/admin#1"] {
        subscribe(&bus_b, channel).await;
        publish(&bus_a, channel, "m").await;
        b.wait_for(&format!("{channel}: m")).await;
    }
}

pub async fn carries_many_channels(cluster: &impl Cluster) {
    const CHANNELS: usize = 5000;
    let (bus_a, _a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    let asked: Vec<_> = (0..CHANNELS).map(|n| bus_b.subscribe(&format!("channel {n}"))).collect();
    for subscription in asked {
        timeout(PATIENCE, subscription).await.expect("in time").expect("the subscription");
    }
    for n in 0..CHANNELS {
        publish(&bus_a, &format!("channel {n}"), "m").await;
    }
    b.wait_until("a message on each channel", |told| told.len() == CHANNELS).await;
    let mut told = b.told();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), CHANNELS);
}

pub async fn a_dropped_future_still_subscribes(cluster: &impl Cluster) {
    let (bus_a, _a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    drop(bus_b.subscribe("x"));
    // Asked for later, so in force later.
    subscribe(&bus_b, "x").await;
    bus_b.unsubscribe("x");
    publish(&bus_a, "x", "1").await;
    b.wait_for("x: 1").await;
}

pub async fn sends_what_is_queued_when_it_closes(cluster: &impl Cluster) {
    let (bus_a, _a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    subscribe(&bus_b, "x").await;
    for n in 0..1000 {
        publish(&bus_a, "x", n.to_string()).await;
    }
    timeout(PATIENCE, bus_a.close()).await.expect("the close in time");
    b.wait_for("x: 999").await;
    assert_eq!(b.told().len(), 1000);
}

pub async fn a_closed_bus_refuses(cluster: &impl Cluster) {
    let (bus_a, a) = node(cluster).await;
    let (bus_b, b) = node(cluster).await;
    subscribe(&bus_a, "x").await;
    subscribe(&bus_b, "x").await;
    timeout(PATIENCE, bus_a.close()).await.expect("the close in time");
    assert!(!bus_a.is_up());
    assert_eq!(bus_a.publish("x", "late".into()), Err(BusError::Closed));
    assert_eq!(timeout(PATIENCE, bus_a.subscribe("y")).await.expect("an answer"), Err(BusError::Closed));
    bus_a.unsubscribe("x");
    timeout(PATIENCE, bus_a.close()).await.expect("closing twice is fine");
    publish(&bus_b, "x", "to nobody").await;
    let (bus_c, _c) = node(cluster).await;
    publish(&bus_c, "x", "to b").await;
    b.wait_for("x: to b").await;
    assert_eq!(a.told(), [""; 0], "a closed bus tells its sink nothing, not even that it is closed");
}
