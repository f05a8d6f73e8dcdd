//! Real Redis servers of a test's own: on loopback, on free ports, in folders of their own, gone with the test.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use redis::{Connection, FromRedisValue};

/// How long a server may take for anything. None takes so long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server. Killed by its pid when dropped.
pub struct RedisServer {
    binary: PathBuf,
    args: Vec<String>,
    port: u16,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts the `redis-server` that is in PATH, without persistence.
    pub fn start() -> Self {
        Self::start_with(&installed(), &[])
    }

    /// Starts this one, with more arguments.
    pub fn start_with(binary: &Path, args: &[&str]) -> Self {
        // A port is free until somebody else takes it between our look and the server's.
        for _ in 0..20 {
            let port = free_port();
            let mut server = Self {
                binary: binary.to_owned(),
                args: args.iter().map(|&arg| arg.to_owned()).collect(),
                port,
                folder: tempfile::tempdir().unwrap(),
                child: None,
            };
            if server.spawn() {
                return server;
            }
        }
        panic!("{} does not start", binary.display());
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder, which it also works in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it at once, as a power failure would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// Kills it if it runs, and starts it on the same port again.
    pub fn restart(&mut self) {
        self.kill();
        let deadline = Instant::now() + PATIENCE;
        while !self.spawn() {
            assert!(Instant::now() < deadline, "redis-server does not start again:\n{}", self.log());
        }
    }

    /// Stops its process (SIGSTOP): connections stay, and nothing answers.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("a running server").id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// A connection of the test's own.
    pub fn connection(&self) -> Connection {
        redis::Client::open(self.url()).unwrap().get_connection_with_timeout(PATIENCE).unwrap()
    }

    /// Asks one thing, given as words.
    pub fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split_whitespace();
        let mut built = redis::cmd(words.next().expect("a command"));
        words.for_each(|word| {
            built.arg(word);
        });
        built.query(&mut self.connection()).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Asks until the answer is as it should be.
    pub fn wait_for<T: FromRedisValue + std::fmt::Debug>(&self, command: &str, good: impl Fn(&T) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(command);
            if good(&answer) {
                return;
            }
            assert!(Instant::now() < deadline, "{command} still answers {answer:?}:\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    /// Whether it came up. It may not, if its port is taken.
    fn spawn(&mut self) -> bool {
        let log = self.folder().join("log");
        let child = Command::new(&self.binary)
            .args(&self.args)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(self.folder())
            .arg("--logfile")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        let child = self.child.insert(child);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            assert!(Instant::now() < deadline, "redis-server does not listen:\n{}", self.log());
            sleep(Duration::from_millis(5));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    // Redis Cluster's own bus takes the port 10,000 above.
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        match port.checked_add(10_000) {
            Some(bus) if TcpListener::bind(("127.0.0.1", bus)).is_ok() => return port,
            _ => (),
        }
    }
}

/// The `redis-server` that is installed.
pub fn installed() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("redis-server"))
        .find(|file| file.is_file())
        .expect("these tests need redis-server 7.0 or later in PATH: run scripts/setup.sh")
}

/// Servers that are a Redis Cluster: masters that share the slots evenly, and replicas of the first of them.
pub struct RedisCluster {
    pub servers: Vec<RedisServer>,
    masters: usize,
}

impl RedisCluster {
    /// Starts one, and waits until all of it agrees.
    pub fn start(masters: usize, replicas: usize) -> Self {
        let args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let servers: Vec<_> =
            (0..masters + replicas).map(|_| RedisServer::start_with(&installed(), &args)).collect();
        let cluster = Self { servers, masters };
        for (n, server) in cluster.servers.iter().enumerate() {
            // Epochs apart from the start: nodes of the same one would have to settle who is who first.
            let () = server.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", n + 1));
            if n < masters {
                let (start, end) = (n * 16384 / masters, (n + 1) * 16384 / masters - 1);
                let slots: Vec<String> = (start..=end).map(|slot| slot.to_string()).collect();
                let () = server.ask(&format!("CLUSTER ADDSLOTS {}", slots.join(" ")));
            }
            if n > 0 {
                let () = server.ask(&format!("CLUSTER MEET 127.0.0.1 {}", cluster.servers[0].port()));
            }
        }
        cluster.wait_until_ready();
        for replica in &cluster.servers[masters..] {
            let () = replica
                .ask(&format!("CLUSTER REPLICATE {}", cluster.servers[0].ask::<String>("CLUSTER MYID")));
        }
        for replica in &cluster.servers[masters..] {
            replica.wait_for("INFO replication", |info: &String| info.contains("master_link_status:up"));
        }
        for server in &cluster.servers {
            server.wait_for("CLUSTER NODES", |nodes: &String| {
                nodes.lines().filter(|node| node.contains("slave")).count() == replicas
            });
        }
        cluster
    }

    /// Waits until every server knows every other and serves.
    pub fn wait_until_ready(&self) {
        for server in &self.servers {
            server.wait_for("CLUSTER INFO", |info: &String| {
                info.contains("cluster_state:ok")
                    && info.contains(&format!("cluster_known_nodes:{}", self.servers.len()))
                    && info.contains(&format!("cluster_size:{}", self.masters))
            });
            server.wait_for("CLUSTER SLOTS", |slots: &redis::Value| match slots {
                redis::Value::Array(ranges) => ranges.len() >= self.masters,
                _ => false,
            });
        }
    }

    /// `redis-cluster://…`, with all servers.
    pub fn url(&self) -> String {
        let servers: Vec<_> =
            self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
        format!("redis-cluster://{}", servers.join(","))
    }
}
