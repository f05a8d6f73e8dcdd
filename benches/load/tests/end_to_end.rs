//! The generator against the floor, whole processes over real sockets; and against the floor behind a proxy that
//! damages one thing, where a run that does not fail would prove that its other figures mean nothing.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    thread,
};

const BINARY: &str = env!("CARGO_BIN_EXE_sio-load");

struct Floor {
    child: Child,
    addr: SocketAddr,
}

impl Floor {
    fn start(engine: &str) -> Self {
        let mut child = Command::new(BINARY)
            .args(["floor", "--listen", "127.0.0.1:0", "--threads", "2", "--engine", engine])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the floor starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let first = lines.next().expect("a first line").expect("text");
        let addr = first.split(' ').nth(2).and_then(|addr| addr.parse().ok());
        thread::spawn(move || lines.for_each(drop));
        Self { child, addr: addr.unwrap_or_else(|| panic!("no address in {first:?}")) }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn load(addr: SocketAddr, args: &str) -> Output {
    let output = Command::new(BINARY)
        .args(args.split(' '))
        .args(["--url", &format!("http://{addr}/socket.io/")])
        .args(["--warmup-secs", "0", "--stall-secs", "1"])
        .output()
        .expect("the generator runs");
    eprintln!("{args}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

fn good(addr: SocketAddr, args: &str) -> serde_json::Value {
    let output = load(addr, args);
    assert!(output.status.success(), "{args} failed");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.lines().count(), 1, "exactly one line: {text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn every_command_runs_against_both_floors() {
    for engine in ["tokio", "epoll", "epoll-each"] {
        let floor = Floor::start(engine);
        let pid = floor.child.id();
        let echo = good(floor.addr, "echo --clients 5 --in-flight 3 --size 200 --secs 0.2");
        assert!(echo["ops"].as_u64() > Some(0) && echo["latency_us"]["p50"].is_number(), "{echo}");
        assert!(echo.get("server_cpu_us_per_op").is_none(), "no pid was given: {echo}");

        // More than the socket buffers hold, so that both sides have to wait for each other.
        let flood = good(floor.addr, &format!("flood --clients 2 --events 20000 --size 500 --pid {pid}"));
        assert_eq!(flood["ops"], 40_000);
        assert!(flood["server_cpu_us_per_op"].as_f64() > Some(0.0), "{flood}");

        let broadcast = good(floor.addr, "broadcast --clients 20 --outstanding 3 --secs 0.2");
        assert!(broadcast["ops"].as_u64() > Some(0), "{broadcast}");
        let paced = good(floor.addr, "broadcast --clients 20 --rate 50 --secs 0.2");
        let sent = paced["ops"].as_u64().expect("a count") / 20;
        assert!((1..=10).contains(&sent), "0.2 s at 50/s are no more than 10: {paced}");

        let rooms = good(floor.addr, "rooms --clients 20 --rooms 30 --members 5 --outstanding 10 --secs 0.2");
        assert!(rooms["ops"].as_u64() > Some(0) && rooms["scale"] == 30, "{rooms}");
        let turns = good(floor.addr, "echo --clients 20 --speaking 4 --secs 0.2");
        assert!(turns["ops"].as_u64() > Some(20) && turns["scale"] == 20, "{turns}");

        assert_eq!(good(floor.addr, "connect --connections 50")["ops"], 50);
        let idle = format!("idle --connections 10,40 --settle-secs 0 --hold-secs 0.1 --pid {pid}");
        let steps = &good(floor.addr, &idle)["idle"]["steps"];
        let counts: Vec<_> =
            steps.as_array().expect("steps").iter().map(|step| &step["connections"]).collect();
        assert_eq!(counts, [0, 10, 40]);
    }
}

#[test]
fn a_server_is_started_refused_and_ended() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let spawn = |addr: SocketAddr| {
        Command::new(BINARY)
            .args(["connect", "--connections", "3", "--url", &format!("http://{addr}/socket.io/")])
            .args(["--spawn", &format!("UNUSED=1 {BINARY} floor --listen {addr}")])
            .output()
            .expect("the generator runs")
    };
    let output = spawn(free);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(TcpStream::connect(free).is_err(), "the server outlived the run");

    let floor = Floor::start("epoll");
    let output = spawn(floor.addr);
    assert!(!output.status.success(), "another process serves the address: it would have been measured");
}

#[test]
fn clients_of_a_killed_server_come_to_the_others() {
    let floors = ["epoll", "epoll", "tokio"].map(Floor::start);
    let urls = floors.each_ref().map(|floor| format!("http://{}/socket.io/", floor.addr)).join(",");
    let output = Command::new(BINARY)
        .args(["avalanche", "--url", &urls, "--victim", &floors[0].child.id().to_string()])
        .args(["--connections", "200", "--bystanders", "20", "--hold-secs", "0"])
        .output()
        .expect("the generator runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let figures = &report["figures"];
    for none in ["bystanders_lost", "cut_off_again", "refused_without_retry_after", "not_there_at_the_end"] {
        assert_eq!(figures[none], 0.0, "{report}");
    }
    assert!(figures["all_connected_again_s"].as_f64() > Some(0.0), "{report}");
}

/// Forwards to the floor; in what comes back, the first occurrence of `find` becomes `put`.
fn proxy(upstream: SocketAddr, find: &'static [u8], put: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(upstream).expect("the floor");
            let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
            thread::spawn(move || forward(server, client, find, put));
        }
    });
    addr
}

fn forward(mut from: TcpStream, mut to: TcpStream, find: &[u8], put: &[u8]) {
    let (mut buf, mut held, mut damaged) = (vec![0; 4096], Vec::new(), false);
    while let Ok(count @ 1..) = from.read(&mut buf) {
        held.extend_from_slice(&buf[..count]);
        if !damaged && let Some(at) = held.windows(find.len()).position(|window| window == find) {
            held.splice(at..at + find.len(), put.iter().copied());
            damaged = true;
        }
        if to.write_all(&held).is_err() {
            return;
        }
        held.clear();
    }
}

#[test]
fn a_wrong_answer_fails_the_run() {
    let floor = Floor::start("tokio");
    // An answer to event 5 of the one client: two bytes of frame header, then the ack packet.
    for (find, put, why) in [
        (&b"abcdefgh"[..], &b"abcdefgH"[..], "wrong answer"),
        (b"435[", b"439[", "ack 9"),
        (b"435[", b"434[", "ack 4"),
        (b"435[", b"425[", "answers are missing"),
        (b"40{", b"44{", "connect_error"),
        (b"0{\"sid", b"0{\"sod", "sid"),
        (b"s3pPLMBi", b"s3pPLMBx", "Sec-WebSocket-Accept"),
        (b"HTTP/1.1 101", b"HTTP/1.1 503", "HTTP 503"),
    ] {
        let addr = proxy(floor.addr, find, put);
        for args in ["echo --clients 1 --in-flight 1 --secs 0.3", "flood --clients 1 --events 8"] {
            let output = load(addr, args);
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{args} took {put:?} for {find:?}");
            assert!(output.stdout.is_empty(), "{args} printed a figure that is not to be trusted");
            // Which check sees it first may differ between the commands; the named one must in one of them.
            let flood = args.starts_with("flood");
            assert!(flood || text.contains(why), "{args} does not name {why:?}: {text}");
        }
    }
}

#[test]
fn a_broadcast_lost_doubled_or_damaged_fails_the_run() {
    let floor = Floor::start("tokio");
    for (find, put) in [
        (&b"42[\"bcast\",\"0000000000000002"[..], &b"42[\"other\",\"0000000000000002"[..]),
        (b"\"0000000000000002", b"\"0000000000000001"),
        (b"\"0000000000000002", b"\"0000000000000003"),
        (b"abcdefgh", b"bacdefgh"),
    ] {
        for order in ["", " --any-order"] {
            for work in [
                "broadcast --clients 3 --outstanding 1",
                "rooms --clients 3 --rooms 1 --members 3 --outstanding 1",
            ] {
                let addr = proxy(floor.addr, find, put);
                let output = load(addr, &format!("{work} --secs 0.2{order}"));
                assert!(!output.status.success(), "{work} took {put:?} for {find:?}{order}");
                assert!(output.stdout.is_empty(), "{work} printed a figure that is not to be trusted");
            }
        }
    }
}
