//! Races: a session and a client that do what they like, with every delay between them.

use std::time::Duration;

use proptest::prelude::*;

use super::pair::Pair;
use crate::session::{Link, Settings};

/// Short enough for everything to happen in a test, long enough for a client that behaves: with delays of
/// up to 30 ms, an upgrade takes 180 ms at most (connect, ping, pong, the POST that was just sent, "5").
fn settings() -> Settings {
    Settings {
        ping_interval: Duration::from_millis(500),
        ping_timeout: Duration::from_millis(400),
        upgrade_timeout: Duration::from_millis(250),
        close_timeout: Duration::from_millis(600),
        outbox_hard: 2_000,
        ..Settings::default()
    }
}

/// Every message arrives once, in order, whichever of the two is how far ahead.
#[test]
fn data_queued_before_during_and_after_the_probe() {
    let delays = [0, 3, 10, 30];
    for up in delays {
        for down in delays {
            for at in 0..20 {
                let mut pair = Pair::new(settings(), [up, down]);
                pair.run(100);
                pair.probe();
                for step in 0..40 {
                    if step == at || step % 7 == 0 {
                        pair.send_down();
                        pair.send_up();
                    }
                    pair.run(5);
                }
                pair.run(100);
                let what = format!("delays {up} and {down} ms, at step {at}");
                assert!(pair.upgraded(), "{what}");
                assert_eq!(pair.client.got, pair.sent_down, "{what}");
                assert_eq!(pair.shell.got, pair.sent_up, "{what}");
            }
        }
    }
}

/// Closed at any moment of an upgrade, the session still delivers what it had.
#[test]
fn closed_at_any_moment_of_an_upgrade() {
    for latency_ms in [1, 7, 10] {
        for at in 0..100 {
            let mut pair = Pair::new(settings(), [latency_ms]);
            pair.run(50);
            pair.probe();
            pair.run(at);
            pair.send_down();
            pair.send_down();
            pair.close();
            pair.run(1_000);
            assert_eq!(pair.client.got, ["s0", "s1"], "closed {at} ms after the probe, {latency_ms} ms away");
            assert!(!pair.client.open && pair.shell.closed.is_some());
        }
    }
}

/// What a client that behaves, on connections that hold, may do.
#[derive(Clone, Debug)]
enum Step {
    SendDown(usize),
    SendUp(usize),
    Probe,
    SilentProbe,
    WrongProbe(&'static str),
    AbandonProbe,
    Wait(u64),
    /// Neither polls nor reads for so long.
    Pause(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..4).prop_map(Step::SendDown),
        4 => (1usize..4).prop_map(Step::SendUp),
        3 => Just(Step::Probe),
        1 => Just(Step::SilentProbe),
        1 => proptest::sample::select(vec!["5", "4x", "2", "6"]).prop_map(Step::WrongProbe),
        1 => Just(Step::AbandonProbe),
        6 => (0u64..9).prop_map(|n| Step::Wait(n * 5)),
        1 => Just(Step::Wait(260)),
        1 => (0u64..9).prop_map(|n| Step::Pause(n * 5)),
    ]
}

fn take(pair: &mut Pair, step: &Step) {
    match step {
        Step::SendDown(n) => (0..*n).for_each(|_| pair.send_down()),
        Step::SendUp(n) => (0..*n).for_each(|_| pair.send_up()),
        Step::Probe => pair.probe(),
        Step::SilentProbe => pair.probe_with(&[]),
        Step::WrongProbe(packet) => pair.probe_with(&[packet, "5"]),
        Step::AbandonProbe => pair.abandon(),
        Step::Wait(ms) => pair.run(*ms),
        Step::Pause(ms) => {
            pair.reads(false);
            pair.run(*ms);
            pair.reads(true);
        }
    }
}

/// What may go wrong beside.
#[derive(Clone, Debug)]
enum Fault {
    None(Step),
    Close,
    Lose(Link),
    PollsTwice,
    Says(&'static str),
    NoMorePongs,
    ReadsNoMore,
    Flood,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        30 => step().prop_map(Fault::None),
        1 => Just(Fault::Close),
        2 => Just(Fault::Lose(Link::Probe)),
        1 => Just(Fault::Lose(Link::Poll)),
        1 => Just(Fault::Lose(Link::WebSocket)),
        1 => Just(Fault::PollsTwice),
        2 => proptest::sample::select(vec!["1", "2", "3", "5", "6", "0"]).prop_map(Fault::Says),
        1 => Just(Fault::NoMorePongs),
        1 => Just(Fault::ReadsNoMore),
        1 => Just(Fault::Flood),
    ]
}

fn pair(latencies_ms: Vec<u64>, turn: usize) -> Pair {
    let mut pair = Pair::new(settings(), latencies_ms.into_iter().map(|n| n * 5));
    pair.turn = turn;
    pair
}

fn latencies() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(0u64..=6, 1..12)
}

proptest! {
    /// Nothing is lost, doubled or turned round, and an upgrade is possible in the end.
    #[test]
    fn a_client_that_behaves_gets_and_gives_everything(
        latencies in latencies(), turn in 1usize..5, steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut pair = pair(latencies, turn);
        steps.iter().for_each(|step| take(&mut pair, step));
        pair.run(600);
        pair.probe();
        pair.run(600);
        pair.send_down();
        pair.send_up();
        pair.run(600);
        prop_assert_eq!((pair.shell.closed, pair.client.open), (None, true));
        prop_assert!(pair.upgraded());
        prop_assert_eq!(&pair.client.got, &pair.sent_down);
        prop_assert_eq!(&pair.shell.got, &pair.sent_up);
    }

    /// Closed at any moment, the session delivers what it had, and says that it is over.
    #[test]
    fn a_client_that_behaves_gets_everything_before_the_close(
        latencies in latencies(), turn in 1usize..5, steps in proptest::collection::vec(step(), 1..40),
        after in proptest::collection::vec(step(), 0..4),
    ) {
        let mut pair = pair(latencies, turn);
        steps.iter().for_each(|step| take(&mut pair, step));
        pair.close();
        after.iter().for_each(|step| take(&mut pair, step));
        pair.run(1_500);
        prop_assert!(pair.shell.closed.is_some() && !pair.client.open);
        prop_assert_eq!(&pair.client.got, &pair.sent_down);
        prop_assert!(pair.sent_up.starts_with(&pair.shell.got));
    }

    /// Whatever happens: what arrives is a beginning of what was sent, no poll waits longer than a
    /// heartbeat, and a session whose client has gone ends. (The rest is asserted by the shell: `Closed`
    /// comes once and last, nobody waits when it comes, no deadline stays in the past.)
    #[test]
    fn whatever_happens(
        latencies in latencies(), turn in 1usize..5, faults in proptest::collection::vec(fault(), 1..60),
    ) {
        let mut pair = pair(latencies, turn);
        let heartbeat = settings().ping_interval + settings().ping_timeout;
        for fault in &faults {
            match fault {
                Fault::None(step) => take(&mut pair, step),
                Fault::Close => pair.close(),
                Fault::Lose(link) => pair.lose(*link),
                Fault::PollsTwice => pair.polls_twice(),
                Fault::Says(packet) => pair.says(packet),
                Fault::NoMorePongs => pair.client.answers_pings = false,
                Fault::ReadsNoMore => pair.reads(false),
                Fault::Flood => (0..300).for_each(|_| pair.send_down()),
            }
            if let Some(since) = pair.shell.poll {
                prop_assert!(since.until(pair.shell.now) <= heartbeat, "a poll was forgotten");
            }
        }
        pair.run(3_000);
        prop_assert!(pair.sent_down.starts_with(&pair.client.got), "{:?} of {:?}", pair.client.got, pair.sent_down);
        prop_assert!(pair.sent_up.starts_with(&pair.shell.got), "{:?} of {:?}", pair.shell.got, pair.sent_up);
        prop_assert!(pair.client.open || pair.shell.closed.is_some());
        prop_assert!(pair.shell.closed.is_none() || pair.shell.poll.is_none());
    }
}
