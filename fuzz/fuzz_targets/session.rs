//! A session under arbitrary events in arbitrary order: no panic, no output after its end, no deadline left in the past,
//! and a poll that waits is answered when the session ends.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tokio_socketio::CloseReason;
use tokio_socketio::proto::eio::Packet;
use tokio_socketio::session::{Link, Output, Session, Settings, Time, Transport};

fuzz_target!(|data: &[u8]| {
    let Some((first, steps)) = data.split_first() else { return };
    let settings = Settings {
        ping_interval: Duration::from_millis(30),
        ping_timeout: Duration::from_millis(20),
        upgrade_timeout: Duration::from_millis(10),
        close_timeout: Duration::from_millis(15),
        outbox_hard: 4096,
        ..Settings::default()
    };
    let transport = if first & 1 == 0 { Transport::Polling } else { Transport::WebSocket };
    let mut now = Time(0);
    let mut session = Session::open(transport, "sid", &settings, now);
    let (mut polling, mut probing, mut over) = (false, false, false);
    for step in steps {
        let (what, amount) = (step & 15, u64::from(step >> 4));
        let link = match session.transport() {
            Transport::Polling => Link::Post,
            Transport::WebSocket => Link::WebSocket,
        };
        let packet = [
            Packet::Text("x"),
            Packet::Pong(""),
            Packet::Close,
            Packet::Upgrade,
            Packet::Noop,
            Packet::Ping("probe"),
            Packet::Open("{}"),
        ];
        match what {
            0 if session.transport() == Transport::Polling => {
                if session.handle_poll().is_ok() {
                    polling = true;
                }
            }
            1 => {
                if session.handle_probe(&settings, now).is_ok() {
                    probing = true;
                }
            }
            2 if probing => {
                let _ = session.handle_packet(Link::Probe, Packet::Ping("probe"), &settings, now);
            }
            3 if probing => {
                let _ = session.handle_packet(Link::Probe, Packet::Upgrade, &settings, now);
            }
            4 if probing => {
                session.handle_lost(Link::Probe, CloseReason::TransportClose);
                probing = false;
            }
            5 if polling => {
                session.handle_lost(Link::Poll, CloseReason::TransportError);
                polling = false;
            }
            6 if session.transport() == Transport::WebSocket => {
                session.handle_lost(Link::WebSocket, CloseReason::TransportClose);
            }
            7 => session.send_with(&settings, |out| out.extend_from_slice(b"\x81\x024x")),
            8 => session.close(CloseReason::ForcedClose, &settings, now),
            9 => {
                if session.handle_post().is_ok() && amount > 3 {
                    session.handle_post_end();
                }
            }
            10 => session.abort(CloseReason::ParseError),
            11 | 12 => now = now + Duration::from_millis(amount),
            _ => {
                let packet = packet[amount as usize % packet.len()].clone();
                let _ = session.handle_packet(link, packet, &settings, now);
            }
        }
        if session.poll_timeout() <= now {
            session.handle_timeout(&settings, now);
            assert!(session.poll_timeout() > now, "a deadline is left in the past");
        }
        while let Some(output) = session.poll_output(amount & 1 == 0) {
            assert!(!over, "output after the end: {output:?}");
            match output {
                Output::AnswerPoll(payload) => {
                    assert!(std::mem::take(&mut polling), "an answer without a poll");
                    assert!(!payload.is_empty());
                }
                Output::Closed(_) => {
                    assert!(!polling, "the session is over, and a poll still waits");
                    over = true;
                }
                Output::CloseProbe => probing = false,
                Output::Frames(frames) => {
                    assert!(!frames.is_empty() && session.transport() == Transport::WebSocket)
                }
                Output::Probe(_) => (),
            }
        }
        if session.transport() == Transport::WebSocket {
            probing = false;
        }
    }
});
