//! The upgrade, step by step: what each side may do when, and that an upgrade that fails leaves no trace.
//! (Protocol document, "Upgrade".)

use std::time::Duration;

use super::shell::{BadRequest, Out, Shell, answer, frame};
use crate::close::CloseReason;
use crate::proto::eio::Packet;
use crate::session::{Link, Output, Refused, Settings, Transport};

const UPGRADE_MS: u64 = 10_000;
const INTERVAL_MS: u64 = 25_000;
const TIMEOUT_MS: u64 = 20_000;
const CLOSE_MS: u64 = 30_000;

/// A session whose probe was answered, with nothing pending.
fn probed() -> Shell {
    let mut shell = Shell::polling();
    shell.probe().unwrap();
    shell.probe_says("2probe");
    assert_eq!(shell.take(), [Out::Probe("3probe")]);
    shell
}

fn upgrade(shell: &mut Shell) {
    shell.probe().unwrap();
    shell.probe_says("2probe");
    shell.probe_says("5");
    assert_eq!(shell.session.transport(), Transport::WebSocket);
}

/// Polling works in both directions, and an upgrade is still possible.
fn assert_as_if_nothing_had_been(shell: &mut Shell, what: &str) {
    assert_eq!((shell.session.transport(), shell.probe), (Transport::Polling, false), "{what}");
    shell.got.clear();
    shell.poll().unwrap();
    assert_eq!(shell.take(), [], "{what}: a poll waits again");
    shell.send("down");
    assert_eq!(shell.take(), [answer("4down")], "{what}");
    shell.post("4up");
    assert_eq!(shell.got, ["up"], "{what}");
    upgrade(shell);
    shell.send("after");
    assert_eq!(shell.take(), [Out::Probe("3probe"), frame("4after")], "{what}");
}

#[test]
fn the_protocol_documents_sequence() {
    let mut shell = Shell::polling();
    shell.poll().unwrap();
    shell.probe().unwrap();
    assert_eq!(shell.take(), [], "a WebSocket that says nothing changes nothing");
    shell.probe_says("2probe");
    assert_eq!(shell.take(), [Out::Probe("3probe"), answer("6")], "the pending poll is released");
    assert_eq!(shell.session.transport(), Transport::Polling);
    shell.probe_says("5");
    assert_eq!((shell.session.transport(), shell.take()), (Transport::WebSocket, vec![]));
    shell.websocket_says("4hello");
    assert_eq!(shell.got, ["hello"]);
    shell.send("hello");
    assert_eq!(shell.take(), [frame("4hello")]);
    assert_eq!(shell.poll(), Err(BadRequest));
}

#[test]
fn from_the_probe_on_every_poll_is_answered_at_once() {
    let mut shell = probed();
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("6")]);
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("6")]);
    shell.send("a");
    assert_eq!(shell.take(), [], "no poll is pending, nor may it leave by the probe");
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("4a")], "with what there is, rather than with nothing");
}

#[test]
fn posts_are_heard_until_the_upgrade() {
    let mut shell = probed();
    shell.post("4a");
    shell.post_begins().unwrap();
    shell.probe_says("5");
    shell.post_ends("4b");
    shell.websocket_says("4c");
    assert_eq!(shell.got, ["a", "b", "c"]);
}

#[test]
fn what_is_queued_leaves_by_whichever_transport_comes_first() {
    let mut shell = Shell::polling();
    shell.send("1");
    shell.probe().unwrap();
    shell.send("2");
    shell.probe_says("2probe");
    shell.send("3");
    assert_eq!(shell.take(), [Out::Probe("3probe")]);
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("41|42|43")]);
    shell.send("4");
    shell.send_binary(b"5");
    shell.probe_says("5");
    shell.send("6");
    assert_eq!(shell.take(), [frame("44"), frame("bNQ=="), frame("46")]);
}

/// The client need not wait for anything: its ping and its upgrade packet can be in one read, with a poll still
/// pending. The pong goes first, and the poll gets its noop.
#[test]
fn a_poll_that_is_still_pending_at_the_upgrade_is_released() {
    let mut shell = Shell::polling();
    shell.poll().unwrap();
    shell.probe().unwrap();
    for packet in [Packet::Ping("probe"), Packet::Upgrade] {
        shell.session.handle_packet(Link::Probe, packet, &shell.settings, shell.now).unwrap();
    }
    shell.send("a");
    assert_eq!(shell.take(), [Out::Probe("3probe"), answer("6"), frame("4a")]);
}

#[test]
fn a_client_may_ping_twice_but_gains_no_time() {
    let mut shell = probed();
    shell.wait(UPGRADE_MS - 1);
    shell.probe_says("2probe");
    assert_eq!(shell.take(), [Out::Probe("3probe")]);
    shell.wait(1);
    assert_eq!(shell.take(), [Out::CloseProbe]);
}

// Refused.

#[test]
fn one_probe_at_a_time() {
    let mut shell = Shell::polling();
    shell.probe().unwrap();
    assert_eq!(shell.probe(), Err(Refused::UnderWay));
    shell.probe_says("2probe");
    assert_eq!(shell.probe(), Err(Refused::UnderWay));
    shell.probe_says("5");
    assert_eq!(shell.session.transport(), Transport::WebSocket, "the first one was not disturbed");
    assert_eq!(shell.probe(), Err(Refused::Upgraded));
    shell.send("a");
    assert_eq!(shell.take(), [Out::Probe("3probe"), frame("4a")]);
}

#[test]
fn probes_that_are_not_possible() {
    assert_eq!(Shell::websocket().probe(), Err(Refused::Upgraded));
    let settings = Settings { allow_upgrades: false, ..Settings::default() };
    assert_eq!(Shell::opened(Transport::Polling, settings).probe(), Err(Refused::NotPossible));
    let mut shell = Shell::polling();
    shell.close();
    assert_eq!(shell.probe(), Err(Refused::NotPossible));
    let mut shell = Shell::polling();
    shell.lost(Link::Poll);
    assert_eq!(shell.probe(), Err(Refused::NotPossible));
}

// Given up.

#[test]
fn a_probe_that_is_lost_leaves_no_trace() {
    for packets in [&[][..], &["2probe"]] {
        let mut shell = Shell::polling();
        shell.probe().unwrap();
        packets.iter().for_each(|packet| shell.probe_says(packet));
        shell.take();
        shell.lost(Link::Probe);
        assert_eq!(shell.take(), [], "{packets:?}");
        assert_as_if_nothing_had_been(&mut shell, &format!("lost after {packets:?}"));
    }
}

#[test]
fn a_probe_that_breaks_the_rules_leaves_no_trace() {
    // "5" alone is a client that can't know whether its WebSocket works.
    for first in ["5", "4hello", "bAQIDBA==", "3probe", "2", "2prob", "2probe2", "6", "1", "0{}"] {
        let mut shell = Shell::polling();
        shell.poll().unwrap();
        shell.probe().unwrap();
        shell.probe_says(first);
        assert_eq!(shell.take(), [Out::CloseProbe], "{first}: and the poll goes on waiting");
        assert_eq!(shell.got, [""; 0], "{first}: a probe carries no messages");
        shell.send("x");
        assert_eq!(shell.take(), [answer("4x")], "{first}");
        assert_as_if_nothing_had_been(&mut shell, first);
    }
    for second in ["4hello", "bAQIDBA==", "3probe", "2", "6", "1"] {
        let mut shell = probed();
        shell.send("waits");
        shell.probe_says(second);
        assert_eq!(shell.take(), [Out::CloseProbe], "{second}");
        shell.poll().unwrap();
        assert_eq!(shell.take(), [answer("4waits")], "{second}: nothing was lost");
        assert_as_if_nothing_had_been(&mut shell, second);
    }
}

#[test]
fn a_probe_that_takes_too_long_leaves_no_trace() {
    for packets in [&[][..], &["2probe"]] {
        let mut shell = Shell::polling();
        shell.wait(1_000);
        shell.probe().unwrap();
        packets.iter().for_each(|packet| shell.probe_says(packet));
        shell.wait(UPGRADE_MS - 1);
        shell.take();
        assert!(shell.probe, "not a moment too early");
        shell.wait(1);
        assert_eq!(shell.take(), [Out::CloseProbe], "{packets:?}");
        assert_as_if_nothing_had_been(&mut shell, &format!("late after {packets:?}"));
    }
}

#[test]
fn the_last_moment_is_in_time() {
    let mut shell = probed();
    shell.wait(UPGRADE_MS - 1);
    shell.probe_says("5");
    shell.wait(1);
    assert_eq!((shell.session.transport(), shell.take()), (Transport::WebSocket, vec![]));
}

#[test]
fn a_packet_that_crosses_the_time_out_does_nothing() {
    for packet in ["2probe", "5", "4x"] {
        let mut shell = probed();
        shell.wait(UPGRADE_MS);
        assert_eq!(shell.take(), [Out::CloseProbe]);
        shell.probe_says(packet);
        assert_eq!((shell.take(), shell.got.len()), (vec![], 0), "{packet}");
        assert_as_if_nothing_had_been(&mut shell, packet);
    }
}

#[test]
fn a_pong_that_did_not_leave_yet_is_not_sent_to_the_next_probe() {
    let mut shell = Shell::polling();
    shell.probe().unwrap();
    shell.session.handle_packet(Link::Probe, Packet::Ping("probe"), &shell.settings, shell.now).unwrap();
    shell.lost(Link::Probe);
    shell.probe().unwrap();
    assert_eq!(shell.take(), []);
}

#[test]
fn a_probe_that_is_still_to_be_closed_is_not_confused_with_the_next() {
    let mut shell = Shell::polling();
    shell.probe().unwrap();
    shell.lazy = true;
    shell.probe_says("4hello");
    assert_eq!(shell.probe(), Err(Refused::UnderWay), "the shell still holds the old one");
    shell.settle();
    assert_eq!(shell.take(), [Out::CloseProbe]);
    shell.lazy = false;
    assert_as_if_nothing_had_been(&mut shell, "both in one turn");
}

// The heartbeat goes on meanwhile.

#[test]
fn the_heartbeat_crosses_the_upgrade() {
    let mut shell = Shell::polling();
    shell.wait(INTERVAL_MS);
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("2")]);
    upgrade(&mut shell);
    shell.wait(TIMEOUT_MS - 1);
    shell.websocket_says("3");
    shell.wait(INTERVAL_MS);
    assert_eq!(shell.take(), [Out::Probe("3probe"), frame("2")]);

    let mut shell = Shell::polling();
    shell.wait(INTERVAL_MS);
    upgrade(&mut shell);
    assert_eq!(shell.take(), [Out::Probe("3probe"), frame("2")], "a ping that no poll fetched");
    shell.wait(TIMEOUT_MS);
    assert_eq!(shell.take(), [Out::Closed(CloseReason::PingTimeout)]);
}

#[test]
fn the_upgrades_time_out_and_a_ping_at_the_same_moment() {
    let settings = Settings { upgrade_timeout: Duration::from_millis(INTERVAL_MS), ..Settings::default() };
    let mut shell = Shell::opened(Transport::Polling, settings);
    shell.poll().unwrap();
    shell.probe().unwrap();
    shell.wait(INTERVAL_MS);
    assert_eq!(shell.take(), [Out::CloseProbe, answer("2")]);
    shell.post("3");
    assert_as_if_nothing_had_been(&mut shell, "both at once");
}

#[test]
fn the_upgrades_time_out_and_the_pongs_at_the_same_moment() {
    let both = Duration::from_millis(INTERVAL_MS + TIMEOUT_MS);
    let settings = Settings { upgrade_timeout: both, ..Settings::default() };
    let mut shell = Shell::opened(Transport::Polling, settings);
    shell.probe().unwrap();
    shell.wait(INTERVAL_MS);
    shell.poll().unwrap();
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("2")]);
    shell.wait(TIMEOUT_MS);
    assert_eq!(shell.take(), [Out::CloseProbe, answer("1"), Out::Closed(CloseReason::PingTimeout)]);
}

// The session ends meanwhile.

#[test]
fn whatever_ends_the_session_ends_the_probe() {
    for packets in [&[][..], &["2probe"]] {
        type End = fn(&mut Shell);
        let ends: [(End, CloseReason); 4] = [
            (|shell| shell.lost(Link::Poll), CloseReason::TransportClose),
            (|shell| shell.post("1"), CloseReason::TransportClose),
            (|shell| shell.post("2"), CloseReason::TransportError),
            (
                |shell| {
                    shell.post_begins().unwrap();
                    assert_eq!(shell.post_begins(), Err(BadRequest));
                },
                CloseReason::TransportError,
            ),
        ];
        for (end, reason) in ends {
            let mut shell = Shell::polling();
            shell.probe().unwrap();
            packets.iter().for_each(|packet| shell.probe_says(packet));
            shell.take();
            end(&mut shell);
            assert_eq!(shell.take(), [Out::CloseProbe, Out::Closed(reason)], "{packets:?}");
        }
    }
}

#[test]
fn a_session_closed_before_the_probe_speaks_ends_by_polling() {
    let mut shell = Shell::polling();
    shell.probe().unwrap();
    shell.send("a");
    shell.close();
    assert_eq!(shell.take(), [Out::CloseProbe]);
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("4a")], "what is left has a payload of its own");
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("1"), Out::Closed(CloseReason::ForcedClose)]);
}

/// A client that has its "3probe" lets polling go. What is queued for it can then only leave by the WebSocket, so
/// the upgrade may complete even while the session is being closed, as with the reference server.
#[test]
fn a_session_closed_while_probed_still_completes_the_upgrade() {
    let mut shell = probed();
    shell.send("a");
    shell.close();
    assert_eq!(shell.take(), []);
    shell.probe_says("5");
    assert_eq!(shell.take(), [frame("4a"), Out::Closed(CloseReason::ForcedClose)]);
}

#[test]
fn a_session_closed_while_probed_ends_by_the_poll_if_that_comes_first() {
    let mut shell = probed();
    shell.send("a");
    shell.close();
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("4a")], "what is left has a payload of its own");
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("1"), Out::CloseProbe, Out::Closed(CloseReason::ForcedClose)]);
}

#[test]
fn a_session_closed_while_probed_waits_for_neither_for_ever() {
    let mut shell = probed();
    shell.send("a");
    shell.close();
    shell.wait(UPGRADE_MS);
    assert_eq!(shell.take(), [Out::CloseProbe], "the upgrade has its own time-out");
    shell.wait(CLOSE_MS - UPGRADE_MS - 1);
    assert_eq!(shell.take(), []);
    shell.wait(1);
    assert_eq!(shell.take(), [Out::Closed(CloseReason::ForcedClose)]);

    let settings = Settings { close_timeout: Duration::from_millis(UPGRADE_MS), ..Settings::default() };
    let mut shell = Shell::opened(Transport::Polling, settings);
    shell.probe().unwrap();
    shell.probe_says("2probe");
    shell.close();
    shell.wait(UPGRADE_MS);
    assert_eq!(shell.take(), [Out::Probe("3probe"), Out::CloseProbe, Out::Closed(CloseReason::ForcedClose)]);
}

// After it.

#[test]
fn polling_requests_that_break_after_the_upgrade_do_not_matter() {
    for posting in [false, true] {
        let mut shell = probed();
        if posting {
            shell.post_begins().unwrap();
        }
        shell.probe_says("5");
        shell.lost(if posting { Link::Post } else { Link::Poll });
        shell.send("a");
        assert_eq!((shell.take(), shell.closed), (vec![frame("4a")], None));
    }
}

/// All in one turn of the loop: nothing was said to the poll before the WebSocket was gone.
#[test]
fn a_poll_that_waits_is_answered_when_the_new_websocket_is_lost() {
    let mut shell = Shell::polling();
    shell.lazy = true;
    shell.poll().unwrap();
    shell.probe().unwrap();
    shell.probe_says("2probe");
    shell.probe_says("5");
    shell.lost(Link::WebSocket);
    shell.lazy = false;
    shell.settle();
    let expected = [Out::Probe("3probe"), answer("6"), Out::Closed(CloseReason::TransportClose)];
    assert_eq!(shell.take(), expected);
}

#[test]
fn a_session_can_be_lost_or_closed_right_after_the_upgrade() {
    let mut shell = Shell::polling();
    upgrade(&mut shell);
    shell.lost(Link::WebSocket);
    assert_eq!(shell.take(), [Out::Probe("3probe"), Out::Closed(CloseReason::TransportClose)]);

    // In one read with the ping, and a poll still pending: everybody is told.
    let mut shell = Shell::polling();
    shell.poll().unwrap();
    shell.probe().unwrap();
    for packet in [Packet::Ping("probe"), Packet::Upgrade] {
        shell.session.handle_packet(Link::Probe, packet, &shell.settings, shell.now).unwrap();
    }
    shell.session.handle_packet(Link::WebSocket, Packet::Close, &shell.settings, shell.now).unwrap();
    let outputs: Vec<_> = std::iter::from_fn(|| shell.session.poll_output(true)).collect();
    assert!(
        matches!(
            &outputs[..],
            [Output::Probe("3probe"), Output::AnswerPoll(body), Output::Closed(CloseReason::TransportClose)] if body == b"6"
        ),
        "{outputs:?}"
    );
}
