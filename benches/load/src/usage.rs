//! What a process and its children use, from /proc: CPU time and resident memory. Reads only; a process that goes
//! away while it is read counts as nothing.

use std::{collections::HashMap, fs, time::Duration};

use anyhow::{Context, Result, bail};
use nix::{
    sys::resource::{UsageWho, getrusage},
    unistd::{SysconfVar, sysconf},
};

/// Use of a process tree at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time from `stat`: counts ended threads, in steps of a clock tick (10 ms).
    ticks: u64,
    /// The same from the threads' `schedstat`: nanoseconds, but only of threads that live.
    thread_ns: u64,
    /// Time that living threads were ready to run and had no core.
    wait_ns: u64,
    pub rss_kib: u64,
    pub rss_anon_kib: u64,
}

impl Usage {
    /// Of these processes and all their descendants.
    pub fn of_trees(pids: &[u32]) -> Result<Self> {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if let Some(stat) = read(child, "stat").as_deref().and_then(parse_stat) {
                children.entry(stat.parent).or_default().push(child);
            }
        }
        let mut sum = Self::default();
        let mut todo = pids.to_vec();
        while let Some(next) = todo.pop() {
            sum.add(next);
            todo.extend(children.remove(&next).unwrap_or_default());
        }
        if sum.rss_kib == 0 {
            bail!("no process to measure: {pids:?}");
        }
        Ok(sum)
    }

    fn add(&mut self, pid: u32) {
        self.ticks += read(pid, "stat").as_deref().and_then(parse_stat).map_or(0, |stat| stat.ticks);
        if let Some(status) = read(pid, "status") {
            self.rss_kib += status_kib(&status, "VmRSS").unwrap_or(0);
            self.rss_anon_kib += status_kib(&status, "RssAnon").unwrap_or(0);
        }
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let run = fs::read_to_string(task.path().join("schedstat")).ok();
            let (ran, waited) = run.as_deref().and_then(parse_schedstat).unwrap_or((0, 0));
            self.thread_ns += ran;
            self.wait_ns += waited;
        }
    }

    /// CPU time between two moments: the finer figure, unless ended threads made it fall behind the coarse one.
    pub fn cpu_since(&self, earlier: &Self) -> Duration {
        let tick_ns =
            sysconf(SysconfVar::CLK_TCK).ok().flatten().map_or(10_000_000, |hz| 1_000_000_000 / hz as u64);
        let coarse = self.ticks.saturating_sub(earlier.ticks).saturating_sub(1) * tick_ns;
        Duration::from_nanos(self.thread_ns.saturating_sub(earlier.thread_ns).max(coarse))
    }

    /// Time between two moments in which threads were ready to run and had no core.
    pub fn wait_since(&self, earlier: &Self) -> Duration {
        Duration::from_nanos(self.wait_ns.saturating_sub(earlier.wait_ns))
    }
}

/// CPU time of this process, and how long it waited for a core.
pub fn own_cpu() -> Result<(Duration, Duration)> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("getrusage")?;
    let micros = |t: nix::sys::time::TimeVal| t.tv_sec() as u64 * 1_000_000 + t.tv_usec() as u64;
    let schedstat = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let (_, waited_ns) = parse_schedstat(&schedstat).unwrap_or((0, 0));
    let ran = Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()));
    Ok((ran, Duration::from_nanos(waited_ns)))
}

fn read(pid: u32, file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    ticks: u64,
}

/// proc_pid_stat(5). The name in brackets may hold blanks and brackets, so counting starts behind the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)? })
}

/// Nanoseconds run, nanoseconds waited for a core (Documentation/scheduler/sched-stats.rst).
fn parse_schedstat(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_ascii_whitespace().map(|field| field.parse().ok());
    Some((fields.next()??, fields.next()??))
}

fn status_kib(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_a_hostile_name() {
        let text = "42 (a) R 1 (x) S 7 42 42 0 -1 4194560 100 0 0 0 150 25 9 9 20 0 3 0 12345 1000 200 1844";
        assert_eq!(parse_stat(text), Some(Stat { parent: 7, ticks: 175 }));
        assert_eq!(parse_stat("42 (cut) S 7"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn status_fields_are_found_by_their_whole_name() {
        let text = "Name:\tnode\nVmRSSx:\t1 kB\nVmRSS:\t   5120 kB\nRssAnon:\t    900 kB\nThreads:\t3\n";
        assert_eq!(status_kib(text, "VmRSS"), Some(5120));
        assert_eq!(status_kib(text, "RssAnon"), Some(900));
        assert_eq!(status_kib(text, "Threads"), None, "not an amount of memory");
        assert_eq!(status_kib(text, "RssFile"), None);
    }

    #[test]
    fn schedstat_gives_run_and_wait() {
        assert_eq!(parse_schedstat("123456789 5555 12\n"), Some((123_456_789, 5555)));
        assert_eq!(parse_schedstat("123"), None);
        assert_eq!(parse_schedstat(""), None);
    }

    #[test]
    fn cpu_between_two_moments_prefers_the_finer_figure() {
        let start = Usage { ticks: 100, thread_ns: 1_000_000_000, ..Usage::default() };
        let threads_live = Usage { ticks: 103, thread_ns: 1_031_500_000, ..start };
        assert_eq!(threads_live.cpu_since(&start), Duration::from_nanos(31_500_000));
        let thread_ended = Usage { ticks: 200, thread_ns: 900_000_000, ..start };
        assert_eq!(thread_ended.cpu_since(&start), Duration::from_millis(990));
    }

    #[test]
    fn this_process_can_be_measured() {
        let usage = Usage::of_trees(&[std::process::id()]).unwrap();
        assert!(usage.rss_kib > 0 && usage.rss_anon_kib <= usage.rss_kib, "{usage:?}");
        assert!(own_cpu().unwrap().0 > Duration::ZERO);
        assert!(Usage::of_trees(&[u32::MAX / 2]).is_err());
    }
}
