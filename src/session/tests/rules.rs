//! What holds whoever is faster: the open packet, the heartbeat, requests that overlap, and every way in which
//! a session ends. (Protocol document, "Handshake", "Heartbeat", "HTTP long-polling".)

use super::shell::{BadRequest, Out, Shell, answer, frame};
use crate::close::CloseReason;
use crate::proto::eio::Packet;
use crate::session::{Link, Output, Refused, Session, Settings, Time, Transport};

const INTERVAL_MS: u64 = 25_000;
const TIMEOUT_MS: u64 = 20_000;
const CLOSE_MS: u64 = 30_000;

#[test]
fn the_numbers_used_here_are_the_defaults() {
    let settings = Settings::default();
    let ms = [settings.ping_interval, settings.ping_timeout, settings.close_timeout].map(|d| d.as_millis());
    assert_eq!(ms, [INTERVAL_MS, TIMEOUT_MS, CLOSE_MS].map(u128::from));
}

// Handshake.

fn open_packet(upgrades: &str) -> String {
    format!(
        r#"0{{"sid":"the-sid","upgrades":[{upgrades}],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
    )
}

#[test]
fn the_open_packet_comes_before_everything() {
    let mut shell = Shell::open(Transport::Polling, Settings::default());
    shell.send("early");
    assert_eq!(shell.take(), []);
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer(&format!("{}|4early", open_packet(r#""websocket""#)))]);

    let mut shell = Shell::open(Transport::WebSocket, Settings::default());
    shell.send("early");
    assert_eq!(shell.take(), [frame(&open_packet("")), frame("4early")]);
}

#[test]
fn no_upgrade_is_offered_where_none_is_allowed() {
    let settings = Settings { allow_upgrades: false, ..Settings::default() };
    let mut shell = Shell::open(Transport::Polling, settings);
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer(&open_packet(""))]);
}

// Messages.

#[test]
fn a_poll_waits_for_something_and_takes_all_there_is() {
    let mut shell = Shell::polling();
    shell.poll().unwrap();
    assert_eq!(shell.take(), [], "nothing to say yet");
    assert!(shell.session.is_writable());
    shell.send("a");
    assert_eq!(shell.take(), [answer("4a")]);
    assert!(!shell.session.is_writable(), "no poll is pending");
    shell.send("b");
    shell.send_binary(&[1, 2, 3, 4]);
    shell.send("c");
    assert!(shell.session.queued_bytes() > 0);
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("4b|bAQIDBA==|4c")]);
    assert_eq!(shell.session.queued_bytes(), 0);
}

#[test]
fn a_websocket_that_is_not_read_is_given_no_more() {
    let mut shell = Shell::websocket();
    shell.reads(false);
    for text in ["a", "b", "c"] {
        shell.send(text);
    }
    assert_eq!(shell.take(), []);
    shell.reads(true);
    assert_eq!(shell.take(), ["4a", "4b", "4c"].map(frame));
}

#[test]
fn what_the_client_sends_arrives_in_order() {
    let mut shell = Shell::polling();
    shell.post("4a|bYg==|4");
    shell.post("4d");
    assert_eq!(shell.got, ["a", "b", "", "d"]);
    let mut shell = Shell::websocket();
    shell.websocket_says("4a");
    shell.websocket_says("4b");
    assert_eq!(shell.got, ["a", "b"]);
}

// Heartbeat.

#[test]
fn a_ping_comes_after_the_interval_and_a_pong_in_time_keeps_the_session() {
    let mut shell = Shell::websocket();
    for _ in 0..3 {
        shell.wait(INTERVAL_MS - 1);
        assert_eq!(shell.take(), []);
        shell.wait(1);
        assert_eq!(shell.take(), [frame("2")]);
        shell.wait(TIMEOUT_MS - 1);
        shell.websocket_says("3");
    }
    assert_eq!((shell.take(), shell.closed), (vec![], None));
}

#[test]
fn silence_closes() {
    let mut shell = Shell::websocket();
    shell.wait(INTERVAL_MS + TIMEOUT_MS - 1);
    assert_eq!(shell.take(), [frame("2")]);
    shell.wait(1);
    assert_eq!(shell.take(), [Out::Closed(CloseReason::PingTimeout)]);
    assert_eq!(CloseReason::PingTimeout.as_str(), "ping timeout");

    let mut shell = Shell::polling();
    shell.poll().unwrap();
    shell.wait(INTERVAL_MS);
    assert_eq!(shell.take(), [answer("2")]);
    shell.poll().unwrap();
    shell.wait(TIMEOUT_MS);
    assert_eq!(shell.take(), [answer("1"), Out::Closed(CloseReason::PingTimeout)]);
    assert_eq!(shell.poll(), Err(BadRequest));
}

#[test]
fn a_client_that_never_polls_is_pinged_once_and_closed() {
    let mut shell = Shell::polling();
    shell.wait(INTERVAL_MS + TIMEOUT_MS - 1);
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("2")]);
    shell.wait(1);
    assert_eq!(shell.take(), [Out::Closed(CloseReason::PingTimeout)]);
}

#[test]
fn a_pong_that_nobody_asked_for_changes_nothing() {
    let mut shell = Shell::polling();
    shell.wait(INTERVAL_MS - 1);
    shell.post("3|3");
    shell.poll().unwrap();
    shell.wait(1);
    assert_eq!(shell.take(), [answer("2")], "the ping is not put off");
    shell.poll().unwrap();
    shell.wait(TIMEOUT_MS);
    assert_eq!(
        shell.take(),
        [answer("1"), Out::Closed(CloseReason::PingTimeout)],
        "and needs a pong of its own"
    );
}

#[test]
fn messages_are_no_pong() {
    let mut shell = Shell::websocket();
    shell.wait(INTERVAL_MS);
    for _ in 0..4 {
        shell.websocket_says("4hello");
        shell.wait(TIMEOUT_MS);
    }
    assert_eq!(shell.closed, Some(CloseReason::PingTimeout));
}

#[test]
fn a_call_of_handle_timeout_too_early_or_too_late_does_no_harm() {
    let mut shell = Shell::websocket();
    shell.timeout();
    assert_eq!(shell.take(), []);
    shell.now = Time(shell.now.0 + INTERVAL_MS + TIMEOUT_MS);
    shell.timeout();
    assert_eq!(shell.take(), [frame("2")], "the client had no chance to answer yet");
    shell.wait(TIMEOUT_MS - 1);
    shell.websocket_says("3");
    assert_eq!(shell.closed, None);
}

// What is against the rules.

#[test]
fn a_ping_or_an_open_packet_from_the_client_closes() {
    for packet in ["2", "2x", "2probe", "0", "0{}"] {
        let mut shell = Shell::websocket();
        shell.websocket_says(packet);
        assert_eq!(shell.take(), [Out::Closed(CloseReason::TransportError)], "{packet}");

        let mut shell = Shell::polling();
        shell.poll().unwrap();
        shell.post(&format!("4before|{packet}|4behind"));
        assert_eq!(shell.take(), [answer("1"), Out::Closed(CloseReason::TransportError)], "{packet}");
        assert_eq!(shell.got, ["before"], "what is behind it is not heard");
    }
}

#[test]
fn stray_upgrade_and_noop_packets_are_ignored() {
    let mut shell = Shell::polling();
    shell.post("6|5|4a");
    assert_eq!((shell.session.transport(), shell.closed), (Transport::Polling, None));
    let mut shell = Shell::websocket();
    shell.websocket_says("6");
    shell.websocket_says("5");
    assert_eq!((shell.take(), shell.closed), (vec![], None));
}

#[test]
fn a_second_poll_ends_the_session_and_the_first_is_told() {
    let mut shell = Shell::polling();
    shell.poll().unwrap();
    assert_eq!(shell.poll(), Err(BadRequest));
    assert_eq!(shell.take(), [answer("1"), Out::Closed(CloseReason::TransportError)]);
}

#[test]
fn a_session_that_ends_at_once_sends_nothing_more() {
    let mut shell = Shell::polling();
    shell.lazy = true;
    shell.poll().unwrap();
    shell.send("in the same turn");
    assert_eq!(shell.poll(), Err(BadRequest));
    assert_eq!(shell.session.queued_bytes(), 0);
    shell.settle();
    assert_eq!(shell.take(), [answer("1"), Out::Closed(CloseReason::TransportError)]);
}

#[test]
fn a_second_post_ends_the_session_and_the_pending_poll_is_told() {
    let mut shell = Shell::polling();
    shell.poll().unwrap();
    shell.post_begins().unwrap();
    assert_eq!(shell.post_begins(), Err(BadRequest));
    assert_eq!(shell.take(), [answer("1"), Out::Closed(CloseReason::TransportError)]);
    shell.post_ends("4late");
    assert_eq!(shell.got, [""; 0], "the session was over");
}

#[test]
fn a_poll_and_a_post_at_the_same_time_are_no_overlap() {
    let mut shell = Shell::polling();
    shell.post_begins().unwrap();
    shell.poll().unwrap();
    shell.send("down");
    shell.poll().unwrap();
    shell.post_ends("4up");
    shell.post("4again");
    assert_eq!((shell.take(), shell.closed), (vec![answer("4down")], None));
    assert_eq!(shell.got, ["up", "again"]);
}

#[test]
fn a_client_that_does_not_read_is_closed_at_the_limit() {
    for transport in [Transport::Polling, Transport::WebSocket] {
        let mut shell = Shell::opened(transport, Settings { outbox_hard: 1_000, ..Settings::default() });
        shell.reads(false);
        shell.send("taken at once by a WebSocket");
        let free = 1_000 - shell.session.queued_bytes();
        shell.send(&"x".repeat(free - 5)); // 4 bytes of header, and the type
        assert_eq!((shell.session.queued_bytes(), shell.closed), (1_000, None), "{transport:?}");
        shell.send("");
        assert_eq!(shell.closed, Some(CloseReason::SlowReader), "{transport:?}");
        assert_eq!(shell.take(), [Out::Closed(CloseReason::SlowReader)], "what was queued is dropped");
    }
}

// The client goes.

/// The test suite of the protocol document, "forcefully closes the session": the pending poll gets a noop,
/// for who closes need not be told.
#[test]
fn a_client_that_closes_gets_its_poll_back() {
    let mut shell = Shell::polling();
    shell.poll().unwrap();
    shell.post("4last|1|4ignored");
    assert_eq!(shell.take(), [answer("6"), Out::Closed(CloseReason::TransportClose)]);
    assert_eq!(shell.got, ["last"]);
    assert_eq!(shell.poll(), Err(BadRequest));

    let mut shell = Shell::websocket();
    shell.websocket_says("1");
    assert_eq!(shell.take(), [Out::Closed(CloseReason::TransportClose)]);
}

#[test]
fn a_lost_connection_ends_the_session() {
    let mut shell = Shell::polling();
    shell.poll().unwrap();
    shell.lost(Link::Poll);
    assert_eq!(shell.take(), [Out::Closed(CloseReason::TransportClose)], "there is no poll to answer");

    let mut shell = Shell::websocket();
    shell.send("a");
    shell.lost(Link::WebSocket);
    assert_eq!(shell.take(), [frame("4a"), Out::Closed(CloseReason::TransportClose)]);
}

#[test]
fn a_broken_post_ends_the_session_and_the_pending_poll_is_told() {
    let mut shell = Shell::polling();
    shell.poll().unwrap();
    shell.post_begins().unwrap();
    shell.lost(Link::Post);
    assert_eq!(shell.take(), [answer("6"), Out::Closed(CloseReason::TransportClose)]);
}

#[test]
fn the_reason_of_a_lost_connection_is_the_shells() {
    let mut shell = Shell::websocket();
    shell.session.handle_lost(Link::WebSocket, CloseReason::TooLarge);
    shell.settle();
    assert_eq!(shell.take(), [Out::Closed(CloseReason::TooLarge)]);
}

// The application closes.

#[test]
fn a_closing_polling_session_waits_for_the_next_poll() {
    let mut shell = Shell::polling();
    shell.send("a");
    shell.close();
    shell.send("after close");
    shell.post("4ignored");
    shell.wait(CLOSE_MS - 1);
    assert_eq!((shell.take(), shell.session.is_open()), (vec![], false));
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("4a")], "what is left has a payload of its own");
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("1"), Out::Closed(CloseReason::ForcedClose)]);
    assert_eq!(shell.got, [""; 0]);
}

#[test]
fn a_closing_polling_session_answers_the_pending_poll() {
    let mut shell = Shell::polling();
    shell.poll().unwrap();
    shell.close();
    assert_eq!(shell.take(), [answer("1"), Out::Closed(CloseReason::ForcedClose)]);

    let mut shell = Shell::open(Transport::Polling, Settings::default());
    shell.close();
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer(&open_packet(r#""websocket""#))]);
    shell.poll().unwrap();
    assert_eq!(shell.take(), [answer("1"), Out::Closed(CloseReason::ForcedClose)]);
}

#[test]
fn a_closing_session_does_not_wait_for_ever() {
    let mut shell = Shell::polling();
    shell.send("a");
    shell.close();
    shell.wait(CLOSE_MS);
    assert_eq!(shell.take(), [Out::Closed(CloseReason::ForcedClose)]);

    let mut shell = Shell::websocket();
    shell.reads(false);
    shell.send("a");
    shell.close();
    shell.wait(CLOSE_MS - 1);
    assert_eq!(shell.take(), []);
    shell.wait(1);
    assert_eq!(shell.take(), [Out::Closed(CloseReason::ForcedClose)]);
}

#[test]
fn a_closing_websocket_session_sends_what_is_left() {
    let mut shell = Shell::websocket();
    shell.reads(false);
    shell.send("a");
    shell.send("b");
    shell.close();
    assert_eq!(shell.take(), []);
    shell.reads(true);
    assert_eq!(shell.take(), [frame("4a"), frame("4b"), Out::Closed(CloseReason::ForcedClose)]);
}

#[test]
fn a_closing_session_can_still_be_lost_or_overlap() {
    let mut shell = Shell::websocket();
    shell.reads(false);
    shell.send("a");
    shell.close();
    shell.lost(Link::WebSocket);
    assert_eq!(shell.take(), [Out::Closed(CloseReason::TransportClose)]);

    let mut shell = Shell::polling();
    shell.post_begins().unwrap();
    shell.close();
    assert_eq!(shell.post_begins(), Err(BadRequest));
    assert_eq!(shell.take(), [Out::Closed(CloseReason::TransportError)]);
}

#[test]
fn closing_twice_is_closing_once() {
    let mut shell = Shell::polling();
    shell.close();
    shell.wait(CLOSE_MS - 1);
    shell.session.close(CloseReason::ShuttingDown, &shell.settings, shell.now);
    shell.wait(1);
    assert_eq!(shell.take(), [Out::Closed(CloseReason::ForcedClose)]);
}

// Over.

/// Whatever is said to a session that has said `Closed`, it says nothing any more.
#[test]
fn nothing_comes_after_closed() {
    for transport in [Transport::Polling, Transport::WebSocket] {
        let link = if transport == Transport::Polling { Link::Poll } else { Link::WebSocket };
        for lost in [false, true] {
            let mut shell = Shell::opened(transport, Settings::default());
            if transport == Transport::Polling {
                shell.poll().unwrap();
            }
            if lost {
                shell.lost(link)
            } else {
                shell.close()
            }
            assert!(shell.closed.is_some(), "{transport:?}");
            let Shell { session, settings, now, .. } = &mut shell;
            let at = *now;
            let calls: [&dyn Fn(&mut Session); 12] = [
                &|s| _ = s.handle_poll(),
                &|s| _ = s.handle_post(),
                &|s| s.handle_post_end(),
                &|s| {
                    assert!(matches!(
                        s.handle_probe(settings, at),
                        Err(Refused::NotPossible | Refused::Upgraded)
                    ))
                },
                &|s| assert!(s.handle_packet(Link::Probe, Packet::Ping("probe"), settings, at).is_err()),
                &|s| assert!(s.handle_packet(Link::Probe, Packet::Upgrade, settings, at).is_err()),
                &|s| assert_eq!(s.handle_packet(Link::WebSocket, Packet::Text("x"), settings, at), Ok(None)),
                &|s| assert_eq!(s.handle_packet(Link::Post, Packet::Close, settings, at), Ok(None)),
                &|s| s.send(&b"\x81\x014"[..].into(), settings),
                &|s| s.close(CloseReason::ShuttingDown, settings, at),
                &|s| s.handle_timeout(settings, Time(u64::MAX - 1)),
                &|s| s.handle_lost(Link::Poll, CloseReason::TransportClose),
            ];
            for (n, call) in calls.iter().enumerate() {
                call(session);
                let outputs: Vec<Output> =
                    [true, false].iter().filter_map(|w| session.poll_output(*w)).collect();
                assert!(outputs.is_empty(), "{transport:?}, call {n}: {outputs:?}");
                assert_eq!(session.poll_timeout(), Time::NEVER, "{transport:?}, call {n}");
                assert!(!session.is_open());
            }
        }
    }
}
