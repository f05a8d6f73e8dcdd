//! What the codecs cost, beside a copy of the same bytes and a whole JSON parser: `cargo bench --bench codecs`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio_socketio::proto::http::{HeadLimits, RequestHead, Status, encode_response};
use tokio_socketio::proto::ws::{Decoder, FrameHeader, Limits, Opcode, Role, unmask};
use tokio_socketio::proto::{eio, sio};

const POLL: &str = "GET /socket.io/?EIO=4&transport=polling&t=PbT0x1q&sid=AAAAAAAApXw6IoZFCRBjhFIqzNU HTTP/1.1\r\n\
    Host: chat.example:8081\r\nConnection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n\
    Accept: */*\r\nOrigin: https://chat.example\r\nReferer: https://chat.example/\r\n\
    Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\n\r\n";
const EVENT: &str = r#"212["send_message",{"toUserId":2,"messageType":1,"content":"hello, how are you?"}]"#;

fn frames(size: usize, count: usize) -> Vec<u8> {
    let key = [7, 77, 177, 27];
    let mut out = Vec::new();
    for _ in 0..count {
        FrameHeader { fin: true, rsv1: false, opcode: Opcode::Text, mask: Some(key), len: size as u64 }
            .encode(&mut out);
        let start = out.len();
        out.resize(start + size, b'x');
        unmask(&mut out[start..], key, 0);
    }
    out
}

fn http(c: &mut Criterion) {
    let mut group = c.benchmark_group("http");
    group.throughput(Throughput::Bytes(POLL.len() as u64));
    group.bench_function("floor: copy", |b| b.iter(|| black_box(POLL.as_bytes()).to_vec()));
    let limits = HeadLimits::default();
    group.bench_function("decode a browser's poll", |b| {
        b.iter(|| RequestHead::decode(black_box(POLL.as_bytes()), &limits))
    });
    let mut out = Vec::new();
    group.bench_function("encode a polling answer", |b| {
        b.iter(|| {
            out.clear();
            let headers =
                [("Content-Type", "text/plain; charset=UTF-8"), ("Access-Control-Allow-Origin", "*")];
            encode_response(&mut out, Status(200), &headers, true, black_box(b"42[\"message\",\"hello\"]"));
        });
    });
}

fn websocket(c: &mut Criterion) {
    let mut group = c.benchmark_group("websocket");
    let limits = Limits { max_message: 1_000_000, allow_rsv1: false, role: Role::Server };
    for (size, count) in [(32, 1), (32, 100), (1024, 1), (65_536, 1)] {
        let input = frames(size, count);
        group.throughput(Throughput::Bytes(input.len() as u64));
        let mut buffer = input.clone();
        group.bench_function(format!("floor: copy {count} x {size} B"), |b| {
            b.iter(|| buffer.copy_from_slice(black_box(&input)));
        });
        // Decoding unmasks in place, so each run begins with the copy that the floor shows.
        group.bench_function(format!("decode {count} x {size} B"), |b| {
            let mut decoder = Decoder::new();
            b.iter(|| {
                buffer.copy_from_slice(black_box(&input));
                let mut at = 0;
                while at < buffer.len() {
                    let (used, event) = decoder.decode(&mut buffer[at..], &limits).expect("valid frames");
                    black_box(event);
                    at += used;
                }
            });
        });
    }
}

fn packets(c: &mut Criterion) {
    let mut group = c.benchmark_group("packets");
    group.throughput(Throughput::Bytes(EVENT.len() as u64));
    let json = &EVENT[EVENT.find('[').expect("an array")..];
    group.bench_function("peer: serde_json::Value of an event", |b| {
        b.iter(|| serde_json::from_str::<serde_json::Value>(black_box(json)));
    });
    group.bench_function("decode an event's header and name", |b| {
        b.iter(|| {
            sio::Packet::decode(black_box(EVENT), 10).map(|packet| packet.args().map(|args| args.list.len()))
        });
    });
    group.bench_function("and check its JSON", |b| {
        b.iter(|| {
            sio::Packet::decode(black_box(EVENT), 10).map(|packet| packet.args().map(|args| args.is_json()))
        });
    });
    let mut out = Vec::new();
    group.bench_function("encode an ack's header", |b| {
        b.iter(|| {
            out.clear();
            sio::encode_head(&mut out, sio::Kind::Ack, None, black_box("/"), Some(12));
        });
    });
    let payload = vec![format!("4{EVENT}"); 10].join("\u{1e}");
    group.throughput(Throughput::Bytes(payload.len() as u64));
    group.bench_function("decode a payload of 10 packets", |b| {
        b.iter(|| eio::decode_payload(black_box(&payload)).filter(Result::is_ok).count());
    });
}

criterion_group! {
    name = codecs;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = http, websocket, packets
}
criterion_main!(codecs);
