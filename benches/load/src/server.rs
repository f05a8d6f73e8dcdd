//! The server under load: one that already runs (named by pid, or not accounted for at all) or one started here,
//! awaited, and ended by its pid when this value is dropped.

use std::{
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::usage::Usage;

const START_LIMIT: Duration = Duration::from_secs(15);
const STOP_LIMIT: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub struct Server {
    /// Several where it is a cluster.
    pids: Vec<u32>,
    child: Option<Child>,
}

impl Server {
    pub fn running(pids: Vec<u32>) -> Self {
        Self { pids, child: None }
    }

    /// Starts `command` (a shell line that may begin with assignments) and waits until `addr` accepts.
    /// Refuses an address that somebody serves already: it would measure the wrong process.
    pub fn spawn(command: &str, addr: SocketAddr) -> Result<Self> {
        if TcpStream::connect(addr).is_ok() {
            bail!("{addr} is already served by another process");
        }
        // `exec` keeps the pid: what is measured and ended is the server, not a shell around it. Where setpriv is
        // at hand, the server also ends when this process is killed before it can say so.
        let line = format!(
            "command -v setpriv >/dev/null && exec setpriv --pdeathsig TERM env {command}; exec env {command}"
        );
        let child = Command::new("sh")
            .args(["-c", &line])
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let mut server = Self { pids: vec![child.id()], child: Some(child) };
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(addr).is_err() {
            if let Some(status) = server.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("{command:?} ended before it served {addr}: {status}");
            }
            if Instant::now() > deadline {
                bail!("{command:?} does not serve {addr} after {START_LIMIT:?}");
            }
            sleep(LOOK_EVERY);
        }
        Ok(server)
    }

    /// What the server uses now; `None` when no pid was given.
    pub fn usage(&self) -> Result<Option<Usage>> {
        (!self.pids.is_empty()).then(|| Usage::of_trees(&self.pids)).transpose()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        // The child is not reaped yet, so its pid cannot name another process.
        let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(LOOK_EVERY);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}
