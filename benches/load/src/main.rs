//! Load generator for Socket.IO servers, and the floor that they are measured against. One thread, one epoll, its
//! own protocol code. Each run prints one JSON line on stdout and fails on any wrong or missing answer.

mod cli;
mod client;
mod engine;
mod floor;
mod groups;
mod hist;
mod link;
mod proto;
mod report;
mod results;
mod server;
mod usage;
mod work;
mod workload;

use std::{
    net::{SocketAddr, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser as _;

use crate::{
    cli::{Cli, Command, Common},
    proto::payload,
    report::Report,
    server::Server,
    work::{Setup, avalanche::Avalanche, broadcast::Pace, crowd, echo::Talk, jitter::Jitter, rooms::Shape},
    workload::{Target, Transport},
};

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sio-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<()> {
    let report = match command {
        Command::Floor { listen, engine, threads } => {
            let cores = || std::thread::available_parallelism().map_or(1, usize::from);
            return floor::serve(engine, listen, threads.unwrap_or_else(cores));
        }
        Command::Table { files } => {
            print!("{}", results::show(&files)?);
            return Ok(());
        }
        Command::Results { folder, machine, files } => return results::write(&folder, &files, &machine),
        Command::Idle { common, connections, settle_secs, hold_secs } => {
            let (settle, hold) = (seconds(settle_secs)?, seconds(hold_secs)?);
            run(common, connections.iter().copied().max().unwrap_or(0), false, |setup| {
                work::idle::run(setup, &connections, settle, hold)
            })?
        }
        Command::Connect { common, connections } => {
            run(common, connections, false, |setup| work::connect::run(setup, connections))?
        }
        Command::Echo { common, clients, in_flight, speaking, size, secs } => {
            let time = seconds(secs)?;
            let talk = speaking.map_or(Talk::All(in_flight), Talk::Turns);
            run(common, clients, true, |setup| work::echo::run(setup, clients, talk, size, time))?
        }
        Command::Flood { common, clients, events, size } => {
            run(common, clients, true, |setup| work::flood::run(setup, clients, events, size))?
        }
        Command::Broadcast { common, clients, outstanding, any_order, rate, size, secs } => {
            let time = seconds(secs)?;
            let pace = rate.map_or(Pace::Outstanding(outstanding), Pace::Rate);
            run(common, clients, true, |setup| {
                work::broadcast::run(setup, clients, size, pace, any_order, time)
            })?
        }
        Command::Rooms { common, clients, rooms, members, outstanding, any_order, size, secs } => {
            let time = seconds(secs)?;
            let shape = Shape { clients, rooms, members, outstanding };
            run(common, clients, true, |setup| work::rooms::run(setup, shape, size, any_order, time))?
        }
        Command::Crowd { common, api, users, group_size, rate, size, secs, parts } => {
            let plan = crowd::Plan {
                urls: common.url.clone(),
                users,
                group_size,
                rate,
                size,
                warmup_secs: common.warmup_secs,
                secs,
                stall_secs: common.stall_secs,
                concurrency: common.concurrency,
                parts,
                groups: Vec::new(),
                part: 0,
            };
            run(common, users, true, |setup| crowd::run(api, setup, plan))?
        }
        Command::CrowdPart => {
            return crowd::part(|plan| {
                let numbers = (plan.part + 1, plan.parts);
                plan.urls.iter().map(|url| Ok(Target { numbers, ..target(url, "userId={n}")? })).collect()
            });
        }
        Command::Avalanche { common, victim, connections, bystanders, hold_secs } => {
            let plan = Avalanche { connections, bystanders, victim, hold: seconds(hold_secs)? };
            run(common, connections + bystanders, true, |setup| work::avalanche::run(setup, plan))?
        }
        Command::Jitter { common, api, clients, rate, size, secs } => {
            let plan = Jitter { api, clients, rate, size, time: seconds(secs)? };
            run(common, clients + 1, true, |setup| work::jitter::run(setup, &plan))?
        }
    };
    if report.cpu.generator_limited {
        eprintln!(
            "the generator used {} of its one core: it may have set the pace",
            report.cpu.client_cpu_cores
        );
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Starts or finds the server and lets `work` load it.
fn run(
    common: Common,
    clients: usize,
    keep_post: bool,
    work: impl FnOnce(Setup) -> Result<Report>,
) -> Result<Report> {
    ensure!(clients <= payload::MAX_CLIENTS, "at most {} clients", payload::MAX_CLIENTS);
    ensure!(common.concurrency > 0, "--concurrency must be positive");
    let mut targets = Vec::new();
    for url in &common.url {
        targets.push(Target {
            transport: common.transport,
            keep_post,
            post_links: 1024.max(if keep_post { clients } else { 0 }),
            ..target(url, &common.query)?
        });
    }
    let first = targets.first().context("--url names no server")?.addr;
    let server = match common.spawn {
        Some(command) => Server::spawn(&command, first)?,
        None => Server::running(common.pid),
    };
    let (warmup, stall) = (seconds(common.warmup_secs)?, seconds(common.stall_secs)?);
    let (sources, concurrency) = (common.sources, common.concurrency);
    let report = work(Setup { targets, sources, concurrency, warmup, stall, server })?;
    Ok(Report { server: common.label, key: common.key, run: common.run, ..report })
}

fn seconds(value: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(value).with_context(|| format!("{value} seconds"))
}

/// A server for WebSocket clients.
fn target(url: &str, query: &str) -> Result<Target> {
    let (host, addr, path) = split_url(url)?;
    let query = query.to_owned();
    Ok(Target {
        addr,
        host,
        path,
        query,
        numbers: (1, 1),
        transport: Transport::Ws,
        keep_post: true,
        post_links: 1024,
    })
}

/// Host header, address and path of an `http://` URL.
fn split_url(url: &str) -> Result<(String, SocketAddr, String)> {
    let Some((host, path)) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')) else {
        bail!("--url must look like http://127.0.0.1:3000/socket.io/, not {url:?}");
    };
    let with_port = if host.contains(':') { host.to_string() } else { format!("{host}:80") };
    let addr = with_port.to_socket_addrs().with_context(|| format!("--url {url:?}"))?.next();
    let addr = addr.with_context(|| format!("no address for {host:?}"))?;
    Ok((host.to_string(), addr, format!("/{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn urls_are_taken_apart() {
        let (host, addr, path) = split_url("http://127.0.0.1:3000/socket.io/").unwrap();
        assert_eq!((host.as_str(), path.as_str()), ("127.0.0.1:3000", "/socket.io/"));
        assert_eq!(addr, "127.0.0.1:3000".parse().unwrap());
        for bad in ["https://127.0.0.1/x/", "127.0.0.1:3000/", "http://127.0.0.1:3000", "http://:x/"] {
            assert!(split_url(bad).is_err(), "{bad}");
        }
    }
}
