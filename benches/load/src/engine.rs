//! The event loop: one thread, one epoll, all clients in one vector. A turn takes what is ready, lets each client
//! answer, and flushes it with one write; nothing is allocated per message.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use mio::{Events, Poll};

use crate::{
    client::Client,
    workload::{Cx, Out, Tally, Target, Workload},
};

const SCRATCH_BYTES: usize = 256 * 1024;
const LONGEST_WAIT: Duration = Duration::from_millis(100);

pub struct Engine {
    poll: Poll,
    events: Events,
    scratch: Box<[u8]>,
    clients: Vec<Client>,
    targets: Vec<Target>,
    sources: u8,
    stall: Duration,
    pub tally: Tally,
}

/// Receives nothing: for connecting and for idling.
pub struct Quiet;
impl Workload for Quiet {}

impl Engine {
    /// `sources` is how many loopback addresses (127.0.0.1 and up) the clients come from.
    pub fn new(targets: Vec<Target>, sources: u8, stall: Duration) -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(4096),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            clients: Vec::new(),
            targets,
            sources,
            stall,
            tally: Tally::default(),
        })
    }

    /// Connects clients until there are `total`, at most `concurrency` of them on their way at a time, to one server
    /// after the other where there are several.
    pub fn connect_to(&mut self, total: usize, concurrency: usize) -> Result<()> {
        let places = self.targets.len();
        self.connect_each_to(total, concurrency, |number| number % places)
    }

    /// The same, with a choice of server.
    pub fn connect_each_to(
        &mut self,
        total: usize,
        concurrency: usize,
        place: impl Fn(usize) -> usize,
    ) -> Result<()> {
        let mut last = (0, Instant::now());
        while self.tally.joined < total {
            while self.clients.len() < total && self.clients.len() - self.tally.joined < concurrency {
                let number = self.clients.len();
                self.clients.push(Client::new(number, self.source(number), place(number)));
                self.with(number, &mut Quiet, Client::start)?;
                self.with(number, &mut Quiet, Client::act)?;
            }
            let now = self.turn(&mut Quiet, LONGEST_WAIT)?;
            check_stall(&mut last, self.tally.progress, self.stall, now)
                .with_context(|| format!("{} of {total} clients connected", self.tally.joined))?;
        }
        Ok(())
    }

    /// Runs until the workload is done or `until` has come, whichever is first.
    pub fn run<W: Workload>(&mut self, workload: &mut W, until: Instant) -> Result<()> {
        loop {
            let wait = until.saturating_duration_since(Instant::now());
            if workload.done() || wait.is_zero() {
                return Ok(());
            }
            self.turn(workload, wait.min(LONGEST_WAIT))?;
        }
    }

    /// Runs until the workload is done. An error when nothing arrives any more and it is not.
    pub fn finish<W: Workload>(&mut self, workload: &mut W) -> Result<()> {
        let mut last = (self.tally.progress, Instant::now());
        while !workload.done() {
            let now = self.turn(workload, LONGEST_WAIT)?;
            check_stall(&mut last, self.tally.progress, self.stall, now)?;
        }
        Ok(())
    }

    /// Lets `say` put packets for one client, and sends them.
    pub fn say<W: Workload>(
        &mut self,
        client: usize,
        workload: &mut W,
        say: impl FnOnce(&mut W, &mut Out<'_>),
    ) -> Result<()> {
        say(workload, &mut self.clients[client].out());
        self.with(client, workload, Client::act)
    }

    /// Drops what a client has of a connection, and begins anew at a server.
    pub fn restart<W: Workload>(&mut self, client: usize, place: usize, workload: &mut W) -> Result<()> {
        self.tally.joined -= usize::from(self.clients[client].is_joined());
        self.clients[client].restart(place);
        let begun = self
            .with(client, workload, Client::start)
            .and_then(|()| self.with(client, workload, Client::act));
        begun.or_else(|error| self.lose(client, workload, error))
    }

    /// Lets the clients that the workload names say what they have to say.
    pub fn let_speak<W: Workload>(&mut self, workload: &mut W) -> Result<()> {
        while let Some(number) = workload.due() {
            workload.speak(number, &mut self.clients[number].out(), Instant::now());
            self.with(number, workload, Client::act).or_else(|error| self.lose(number, workload, error))?;
        }
        Ok(())
    }

    /// From now on a client hears nothing, and its server is not told.
    pub fn cut(&mut self, client: usize) {
        self.clients[client].cut = true;
    }

    /// How many servers there are.
    pub fn places(&self) -> usize {
        self.targets.len()
    }

    /// Asks the workload what it makes of a client's broken connection.
    fn lose<W: Workload>(&mut self, client: usize, workload: &mut W, error: anyhow::Error) -> Result<()> {
        workload.lost(client, error, Instant::now())?;
        self.tally.joined -= usize::from(self.clients[client].is_joined());
        let place = self.clients[client].place;
        self.clients[client].restart(place);
        Ok(())
    }

    fn turn<W: Workload>(&mut self, workload: &mut W, wait: Duration) -> Result<Instant> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let mut now = Instant::now();
        let mut lost = Vec::new();
        for event in &self.events {
            let (number, link) = (event.token().0 / 2, event.token().0 % 2);
            now = Instant::now();
            let client = &mut self.clients[number];
            let mut end = Ok(());
            if event.is_writable() {
                end = client.on_writable(link);
            }
            if end.is_ok() && (event.is_readable() || event.is_error() || event.is_read_closed()) {
                let (registry, target) = (self.poll.registry(), &self.targets[client.place]);
                let mut cx = Cx { workload, tally: &mut self.tally, target, registry, now };
                end = client.on_readable(link, &mut self.scratch, &mut cx);
            }
            lost.extend(end.err().map(|error| (number, error)));
        }
        for (number, error) in lost {
            self.lose(number, workload, error)?;
        }
        self.let_speak(workload)?;
        while self.tally.posts_open < self.targets[0].post_links
            && let Some(number) = self.tally.posts_waiting.pop_front()
        {
            self.clients[number].post_may_go();
            self.with(number, workload, Client::act)?;
        }
        Ok(now)
    }

    fn with<W: Workload>(
        &mut self,
        number: usize,
        workload: &mut W,
        action: impl FnOnce(&mut Client, &mut Cx<'_, W>) -> Result<()>,
    ) -> Result<()> {
        let (registry, target) = (self.poll.registry(), &self.targets[self.clients[number].place]);
        let mut cx = Cx { workload, tally: &mut self.tally, target, registry, now: Instant::now() };
        action(&mut self.clients[number], &mut cx)
    }

    fn source(&self, number: usize) -> IpAddr {
        IpAddr::V4(match self.targets[0].addr.ip() {
            IpAddr::V4(ip) if ip.is_loopback() && self.sources > 0 => {
                Ipv4Addr::new(127, 0, 0, 1 + (number % usize::from(self.sources)) as u8)
            }
            _ => Ipv4Addr::UNSPECIFIED,
        })
    }
}

/// A run in which nothing arrives for `stall` has lost something.
fn check_stall(last: &mut (u64, Instant), progress: u64, stall: Duration, now: Instant) -> Result<()> {
    if last.0 != progress {
        *last = (progress, now);
    } else if last.1.elapsed() > stall {
        bail!("nothing has arrived for {stall:?}");
    }
    Ok(())
}
