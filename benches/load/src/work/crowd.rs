//! More clients than one process may have files: groups of users over the nodes of a cluster, and stored messages to the
//! groups at a fixed rate. This process makes the groups and starts others that connect (`crowd-part`); they get
//! the plan and the moment to begin on stdin, and answer on stdout. Each client must get each message of its group once,
//! in order.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::Setup;
use crate::{
    engine::Engine,
    groups,
    hist::Histogram,
    proto::im::{self, now_ns},
    report::{Report, Window, round},
    server::Server,
    workload::{Out, Workload},
};

const BEGIN_IN: Duration = Duration::from_millis(300);

/// What is to be done, the same for all parts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub urls: Vec<String>,
    pub users: usize,
    pub group_size: usize,
    /// Messages a second, of all groups together.
    pub rate: f64,
    pub size: usize,
    pub warmup_secs: f64,
    pub secs: f64,
    pub stall_secs: f64,
    pub concurrency: usize,
    pub parts: usize,
    /// Numbers of the groups.
    #[serde(default)]
    pub groups: Vec<u64>,
    #[serde(default)]
    pub part: usize,
}

/// A message of the plan.
struct Planned {
    group: usize,
    user: usize,
    /// From the beginning.
    due: Duration,
}

impl Plan {
    fn group_count(&self) -> usize {
        self.users / self.group_size
    }

    /// How many messages are sent in all, and how many of them before the measured window.
    fn messages(&self) -> (usize, usize) {
        let of = |secs: f64| (secs * self.rate).round() as usize;
        (of(self.warmup_secs + self.secs), of(self.warmup_secs))
    }

    fn message(&self, number: usize) -> Planned {
        let group = number % self.group_count();
        let user = group * self.group_size + number / self.group_count() % self.group_size;
        Planned { group, user, due: Duration::from_secs_f64(number as f64 / self.rate) }
    }

    /// How many messages each group gets, and so each of its members, the sender too.
    fn expected(&self) -> Vec<u64> {
        let mut of_group = vec![0; self.group_count()];
        (0..self.messages().0).for_each(|number| of_group[self.message(number).group] += 1);
        of_group
    }
}

/// What a part has seen.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Seen {
    delivered: u64,
    latency: Vec<(usize, u64)>,
    report: Report,
}

/// The parts, ended when this value is.
struct Parts(Vec<(Child, BufReader<ChildStdout>)>);

impl Parts {
    fn start(plan: &Plan) -> Result<Self> {
        let mut parts = Self(Vec::new());
        for part in 0..plan.parts {
            let mut child = Command::new(std::env::current_exe()?)
                .arg("crowd-part")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("starting a part")?;
            let stdout = BufReader::new(child.stdout.take().context("its output")?);
            parts.0.push((child, stdout));
            parts.tell(part, &serde_json::to_string(&Plan { part, ..plan.clone() })?)?;
        }
        Ok(parts)
    }

    fn tell(&mut self, part: usize, line: &str) -> Result<()> {
        let stdin = self.0[part].0.stdin.as_mut().context("its input")?;
        writeln!(stdin, "{line}").with_context(|| format!("part {part} has ended"))
    }

    fn hear(&mut self, part: usize) -> Result<String> {
        let mut line = String::new();
        self.0[part].1.read_line(&mut line)?;
        ensure!(!line.is_empty(), "part {part} has ended; its reason is above");
        Ok(line)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for (child, _) in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn run(api: SocketAddr, setup: Setup, mut plan: Plan) -> Result<Report> {
    ensure!(plan.group_size > 1 && plan.parts > 0 && plan.rate > 0.0, "groups have two members or more");
    ensure!(plan.users.is_multiple_of(plan.group_size), "--group-size must divide --users");
    let text = format!(
        ", {} nodes, groups of {}, {} stored messages a second",
        setup.targets.len(),
        plan.group_size,
        plan.rate
    );
    let mut report = setup.report("crowd", plan.users, Some(plan.size), &text);
    let server = setup.server;
    for group in 0..plan.group_count() {
        let first = (group * plan.group_size) as u64 + 1;
        let others: Vec<u64> = (first + 1..first + plan.group_size as u64).collect();
        plan.groups.push(groups::create(api, first, &others)?);
    }
    let mut parts = Parts::start(&plan)?;
    for part in 0..plan.parts {
        let said = parts.hear(part)?;
        ensure!(said == "ready\n", "part {part} says {said:?}");
    }
    let begin = Instant::now() + BEGIN_IN;
    let begin_ns = now_ns() + BEGIN_IN.as_nanos() as u64;
    for part in 0..plan.parts {
        parts.tell(part, &begin_ns.to_string())?;
    }
    let from = begin + Duration::from_secs_f64(plan.warmup_secs);
    sleep(from.saturating_duration_since(Instant::now()));
    let window = Window::open(&server)?;
    sleep((from + Duration::from_secs_f64(plan.secs)).saturating_duration_since(Instant::now()));
    let window = window.stop(&server)?;

    let (mut latency, mut delivered) = (Histogram::new(), 0);
    let mut seen = Vec::new();
    for part in 0..plan.parts {
        let part: Seen = serde_json::from_str(&parts.hear(part)?)?;
        latency.add_counts(&part.latency);
        delivered += part.delivered;
        seen.push(part.report);
    }
    window.fill(delivered, &mut report);
    let cores: f64 = seen.iter().map(|part| part.cpu.client_cpu_cores).sum();
    report.cpu.client_cpu_cores = round(cores, 3);
    report.cpu.client_cpu_us_per_op = round(cores * report.secs * 1e6 / delivered.max(1) as f64, 3);
    report.cpu.client_wait_cores = round(seen.iter().map(|part| part.cpu.client_wait_cores).sum(), 3);
    report.cpu.generator_limited = seen.iter().any(|part| part.cpu.generator_limited);
    report.latency_us = latency.percentiles_us();
    let offered = plan.rate * plan.group_size as f64;
    report.figures.insert("offered_per_s".into(), round(offered, 0));
    report.figures.insert("missing".into(), 0.0);
    report.note = "latency: from the moment that the message was due".into();
    Ok(report)
}

struct Crowd {
    plan: Plan,
    /// By client of this part: the last number of its group that it saw, and how many it has still to get.
    clients: Vec<(u64, u64)>,
    missing: u64,
    due_acks: u64,
    delivered: u64,
    record_from_ns: u64,
    latency: Histogram,
    packet: Vec<u8>,
}

impl Crowd {
    fn group_of(&self, client: usize) -> u64 {
        self.plan.groups[(client * self.plan.parts + self.plan.part) / self.plan.group_size]
    }
}

impl Workload for Crowd {
    fn event(&mut self, client: usize, array: &[u8], _: &mut Out<'_>, _: Instant) -> Result<()> {
        let Some(message) = im::read_message(array)? else { return Ok(()) };
        let group = self.group_of(client);
        ensure!(message.group == group, "client {client} of group {group} got {message:?}");
        let last = std::mem::replace(&mut self.clients[client].0, message.seq);
        ensure!(message.seq > last, "client {client} got {} after {last}", message.seq);
        let due = &mut self.clients[client].1;
        *due =
            due.checked_sub(1).with_context(|| format!("client {client} got one too many: {message:?}"))?;
        self.missing -= 1;
        self.delivered += 1;
        if message.stamp >= self.record_from_ns {
            self.latency.record(now_ns().saturating_sub(message.stamp));
        }
        Ok(())
    }

    fn ack(&mut self, client: usize, _: u64, args: &[u8], _: &mut Out<'_>, _: Instant) -> Result<()> {
        let message = im::read_answer(args)?;
        ensure!(message.group == self.group_of(client), "client {client} is answered {message:?}");
        self.due_acks = self.due_acks.checked_sub(1).context("an answer to no message")?;
        Ok(())
    }

    fn done(&self) -> bool {
        self.missing == 0 && self.due_acks == 0
    }
}

/// One of the processes: plan and beginning from stdin, the outcome to stdout.
pub fn part(target: impl Fn(&Plan) -> Result<Vec<crate::workload::Target>>) -> Result<()> {
    let mut stdin = std::io::stdin().lines();
    let mut hear = || stdin.next().context("the first process has ended")?.map_err(anyhow::Error::from);
    let plan: Plan = serde_json::from_str(&hear()?)?;
    let targets = target(&plan)?;
    let users = (plan.part..plan.users).step_by(plan.parts);
    let all = plan.expected();
    let clients: Vec<_> = users.map(|user| (0, all[user / plan.group_size])).collect();
    let mut engine = Engine::new(targets, 8, Duration::from_secs_f64(plan.stall_secs))?;
    engine.connect_to(clients.len(), plan.concurrency)?;
    println!("ready");

    let begin_ns: u64 = hear()?.parse()?;
    let begin = Instant::now() + Duration::from_nanos(begin_ns.saturating_sub(now_ns()));
    let warmup_ns = Duration::from_secs_f64(plan.warmup_secs).as_nanos() as u64;
    let mut crowd = Crowd {
        missing: clients.iter().map(|(_, due)| due).sum(),
        clients,
        due_acks: 0,
        delivered: 0,
        record_from_ns: begin_ns + warmup_ns,
        latency: Histogram::new(),
        packet: Vec::new(),
        plan,
    };
    let server = Server::running(Vec::new());
    let (total, warm) = crowd.plan.messages();
    let (mut window, mut before) = (None, 0);
    for number in 0..total {
        let message = crowd.plan.message(number);
        if number == warm {
            engine.run(&mut crowd, begin + message.due)?;
            window = Some(Window::open(&server)?);
            before = crowd.delivered;
        }
        if message.user % crowd.plan.parts != crowd.plan.part {
            continue;
        }
        engine.run(&mut crowd, begin + message.due)?;
        let stamp = begin_ns + message.due.as_nanos() as u64;
        engine.say(message.user / crowd.plan.parts, &mut crowd, |crowd, out| {
            crowd.packet.clear();
            let group = crowd.plan.groups[message.group];
            im::put_message(&mut crowd.packet, number as u64, group, stamp, crowd.plan.size);
            out.packet(&crowd.packet);
            crowd.due_acks += 1;
        })?;
    }
    let end = begin + Duration::from_secs_f64(crowd.plan.warmup_secs + crowd.plan.secs);
    engine.run(&mut crowd, end)?;
    let Some(window) = window else { bail!("the plan has no message") };
    let mut seen = Seen { delivered: crowd.delivered - before, ..Seen::default() };
    window.close(&server, seen.delivered, &mut seen.report)?;
    engine.finish(&mut crowd).with_context(|| format!("{} deliveries are missing", crowd.missing))?;
    seen.latency = crowd.latency.counts();
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_take_turns_and_so_do_their_members() {
        let plan = Plan {
            urls: Vec::new(),
            users: 6,
            group_size: 3,
            rate: 10.0,
            size: 64,
            warmup_secs: 0.2,
            secs: 0.5,
            stall_secs: 1.0,
            concurrency: 1,
            parts: 2,
            groups: vec![8, 9],
            part: 0,
        };
        // Messages 0 to 6 go to the groups in turn, and in each group the members say one each: 4 and 3 of them.
        assert_eq!(plan.messages(), (7, 2));
        assert_eq!((plan.message(5).group, plan.message(5).user), (1, 5));
        assert_eq!(plan.expected(), [4, 3]);
    }
}
