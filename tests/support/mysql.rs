//! A database server of the tests' own: MariaDB on a free port of loopback, in a temporary folder.
//!
//! A small shell process keeps it: it is told over its standard input what to do with the server, and when that input
//! ends, because this process has ended in whatever way, it kills the server and removes the folder. So a server may be
//! shared by all tests of a process, and never outlives it.

// Each test program uses some of it.
#![allow(dead_code)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a server may take for anything. It takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(120);

const KEEPER: &str = r#"
folder=$1; shift
trap '' INT
while read -r command; do
    case $command in
        START) mariadbd "$@" >>"$folder/log" 2>&1 </dev/null & server=$! ;;
        KILL) kill -s KILL "$server"; wait "$server" 2>/dev/null ;;
        *) kill -s "$command" "$server" ;;
    esac
    echo "$command"
done
kill -s KILL "$server" 2>/dev/null; wait
rm -rf "$folder"
"#;

/// A running server. Its users are `im`, with the password `secret`, who may do everything.
pub struct MysqlServer {
    port: u16,
    folder: tempfile::TempDir,
    keeper: Mutex<(Child, BufReader<ChildStdout>)>,
    databases: Mutex<u32>,
}

impl MysqlServer {
    /// The server that the tests of this process share. They use databases of their own, and leave it running.
    pub fn shared() -> &'static MysqlServer {
        static SHARED: OnceLock<MysqlServer> = OnceLock::new();
        SHARED.get_or_init(MysqlServer::start)
    }

    /// Starts a server for a test that stops it.
    pub fn start() -> MysqlServer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        // Servers refuse to work for root unless they are told that this is meant.
        let user = format!("--user={}", std::env::var("USER").unwrap_or_else(|_| "root".to_owned()));
        let datadir = format!("--datadir={}", at("data"));
        let installed = Command::new("mariadb-install-db")
            .args([
                "--no-defaults",
                &datadir,
                &user,
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ])
            .output();
        let installed = match installed {
            Err(error) => panic!("no mariadb-install-db ({error}): run scripts/setup.sh"),
            Ok(output) => output,
        };
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stdout));
        std::fs::write(
            at("init.sql"),
            "CREATE USER IF NOT EXISTS im@'127.0.0.1' IDENTIFIED BY 'secret';\n\
             GRANT ALL ON *.* TO im@'127.0.0.1';\n",
        )
        .expect("the temporary folder can be written to");

        let port = free_port();
        let mut child = Command::new("sh")
            .args(["-c", KEEPER, "keeper", &at(""), "--no-defaults", &datadir, &user])
            .arg(format!("--socket={}", at("socket")))
            .arg(format!("--pid-file={}", at("pid")))
            .arg(format!("--init-file={}", at("init.sql")))
            .args(["--bind-address=127.0.0.1", &format!("--port={port}"), "--skip-name-resolve"])
            .args(["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=64M", "--max-connections=300"])
            .args(["--innodb-flush-log-at-trx-commit=1", "--performance-schema=off"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let server =
            MysqlServer { port, folder, keeper: Mutex::new((child, output)), databases: Mutex::new(0) };
        server.restart();
        server
    }

    /// Creates an empty database, and gives its name.
    pub async fn database(&self) -> String {
        use mysql_async::prelude::Queryable as _;
        let name = {
            let mut count = lock(&self.databases);
            *count += 1;
            format!("test{count}")
        };
        let mut connection =
            mysql_async::Conn::from_url(self.url("mysql")).await.expect("the server answers");
        connection.query_drop(format!("CREATE DATABASE {name}")).await.expect("the database can be created");
        connection.disconnect().await.expect("the server says goodbye");
        name
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        url_at(self.port, database)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it as a power failure would, but for what the operating system has already taken.
    pub fn kill(&self) {
        self.tell("KILL");
    }

    /// Starts it again on the data that it left, and waits until it answers.
    pub fn restart(&self) {
        self.tell("START");
        let start = Instant::now();
        // The server speaks first.
        while TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut s| s.read_exact(&mut [0])).is_err() {
            if start.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("the database server does not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it in the middle of whatever it does. Its connections stay open, and nobody answers.
    pub fn pause(&self) {
        self.tell("STOP");
    }

    /// Lets it go on after [`MysqlServer::pause`].
    pub fn resume(&self) {
        self.tell("CONT");
    }

    fn tell(&self, command: &str) {
        let mut keeper = lock(&self.keeper);
        let (child, output) = &mut *keeper;
        let input = child.stdin.as_mut().expect("it is piped");
        writeln!(input, "{command}").expect("the keeper listens");
        let mut answer = String::new();
        output.read_line(&mut answer).expect("the keeper answers");
        assert_eq!(answer.trim(), command, "the keeper of the database server has ended");
    }
}

impl Drop for MysqlServer {
    fn drop(&mut self) {
        let (child, _) = &mut *lock(&self.keeper);
        drop(child.stdin.take());
        let _ = child.wait();
    }
}

/// The URL of a database of a server that is reached through this port.
pub fn url_at(port: u16, database: &str) -> String {
    format!("mysql://im:secret@127.0.0.1:{port}/{database}?prefer_socket=false")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
