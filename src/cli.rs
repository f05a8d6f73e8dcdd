//! The command line: flags and subcommands, and what of the file system and environment the settings need.
//!
//! [`parse`] touches the process (arguments, environment, the settings file, exit); [`parse_from`] is its pure part.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::{self, Config, ConfigError, Effective, Flag};

/// The settings file that is read when `--config` names no other and it exists.
pub const DEFAULT_FILE: &str = "tokio-socketio.toml";

const ABOUT: &str = "A Socket.IO server with an instant-messaging service, in one process.

With no settings at all it runs alone: Socket.IO on 127.0.0.1:8081, HTTP on 127.0.0.1:8080, messages in a database
file under ./data.

  tokio-socketio           runs the node until SIGTERM or Ctrl-C
  tokio-socketio config    prints the effective settings, their meaning and where each was set
  tokio-socketio status    prints the nodes of the cluster: leases, connections, users";

const SOURCES: &str = "\
Settings come from a TOML file (--config FILE, else ./tokio-socketio.toml if it exists), then the environment,
then flags; the later win. Every setting can be given in each:

  in the file            [socketio]
                         ping_interval = \"25s\"
  in the environment     TOKIO_SOCKETIO_SOCKETIO_PING_INTERVAL=25s   (and NODE_ID for node.id)
  as a flag              --set socketio.ping_interval=25s

Durations are written 300ms, 25s, 5m or 1h, sizes 1024, 64KiB or 1MB, lists a,b,c. An unknown setting or a value
out of range stops the start.";

#[derive(Parser)]
#[command(name = "tokio-socketio", version, about = ABOUT, disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    settings: SettingFlags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Print the effective settings as TOML, secrets masked
    Config {
        /// Print the reference of all settings as Markdown instead
        #[arg(long)]
        reference: bool,
    },
    /// Print the nodes of a cluster, their leases, connections and users
    Status {
        /// The Redis that the nodes meet at (cluster.redis_url)
        #[arg(long, value_name = "URL")]
        redis: Option<String>,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
struct SettingFlags {
    /// The settings file
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where Socket.IO listens (socketio.listen)
    #[arg(short, long, value_name = "ADDRESS:PORT", global = true)]
    listen: Option<String>,
    /// Where the HTTP API listens (node.http_listen)
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    http_listen: Option<String>,
    /// Directory of the embedded database (store.url = sqlite:DIR/tokio-socketio.db)
    #[arg(short, long, value_name = "DIR", global = true)]
    data: Option<String>,
    /// Name of this node (node.id)
    #[arg(long, value_name = "ID", global = true)]
    node_id: Option<String>,
    /// How much to log: off, error, warn, info, debug, trace (log.level)
    #[arg(long, value_name = "LEVEL", global = true)]
    log: Option<String>,
    /// Listen beyond loopback although anyone can be any user (node.insecure_open_auth)
    #[arg(long, global = true)]
    insecure_open_auth: bool,
    /// Any setting; may be repeated, and the flags above win
    #[arg(short, long, value_name = "SECTION.KEY=VALUE", global = true)]
    set: Vec<String>,
}

impl SettingFlags {
    fn flags(self) -> Result<Vec<Flag>, CliError> {
        let mut flags = Vec::new();
        for assignment in self.set {
            let Some((key, value)) = assignment.split_once('=') else {
                return Err(CliError::Assignment(assignment));
            };
            flags.push(Flag { name: "--set".into(), key: key.trim().into(), value: value.trim().into() });
        }
        let named = [
            ("--listen", "socketio.listen", self.listen),
            ("--http-listen", "node.http_listen", self.http_listen),
            ("--data", "store.url", self.data.as_deref().map(database_in)),
            ("--node-id", "node.id", self.node_id),
            ("--log", "log.level", self.log),
            (
                "--insecure-open-auth",
                "node.insecure_open_auth",
                self.insecure_open_auth.then(|| "true".into()),
            ),
        ];
        for (name, key, value) in named {
            flags.extend(value.map(|value| Flag { name: name.into(), key: key.into(), value }));
        }
        Ok(flags)
    }
}

fn database_in(directory: &str) -> String {
    format!("sqlite:{}", Path::new(directory).join("tokio-socketio.db").display())
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Invocation {
    /// Run the node.
    Run(Box<Config>),
    /// Print what the cluster that meets at this Redis is like.
    Status {
        /// Where Redis is.
        redis: String,
        /// As JSON.
        json: bool,
    },
    /// Print this text and leave.
    Print(String),
}

/// Why the command line was not understood.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Usage, `--help` and `--version`, as clap words them.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// A `--set` without `=`.
    #[error("flag --set: {0:?} is not written section.key=value")]
    Assignment(String),
    /// The settings file cannot be read.
    #[error("file {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The settings were refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It is not known where Redis is.
    #[error("status: where do the nodes meet? Give --redis redis://HOST:PORT, or set cluster.redis_url")]
    NoRedis,
}

/// The invocation from this process's arguments, environment and settings file. `--help`, `--version` and faults are
/// printed, and end the process: faults with exit code 2.
pub fn parse() -> Invocation {
    // Only UTF-8 can be a setting; a name that is not ours does not matter.
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    match parse_from(std::env::args_os(), env, |path| std::fs::read_to_string(path)) {
        Ok(invocation) => invocation,
        Err(CliError::Usage(error)) => error.exit(),
        Err(error) => {
            eprintln!("tokio-socketio: {error}");
            std::process::exit(2)
        }
    }
}

/// As [`parse`], from the given arguments (the first is the program's name), environment and file reader.
pub fn parse_from(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    env: impl IntoIterator<Item = (String, String)>,
    read_file: impl Fn(&Path) -> io::Result<String>,
) -> Result<Invocation, CliError> {
    let matches = Arguments::command()
        .after_help(SOURCES)
        .after_long_help(format!("{SOURCES}\n\n{}", config::help()))
        .try_get_matches_from(arguments)?;
    let arguments = Arguments::from_arg_matches(&matches)?;
    if let Some(Command::Config { reference: true }) = arguments.command {
        return Ok(Invocation::Print(config::markdown()));
    }
    let path = arguments.settings.config.clone();
    let file = match (read_file(path.as_deref().unwrap_or(Path::new(DEFAULT_FILE))), path) {
        (Ok(text), path) => Some((path.unwrap_or_else(|| DEFAULT_FILE.into()), text)),
        (Err(error), None) if error.kind() == io::ErrorKind::NotFound => None,
        (Err(error), path) => {
            return Err(CliError::File { path: path.unwrap_or_else(|| DEFAULT_FILE.into()), error });
        }
    };
    let file = file.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
    let effective = Effective::load(file, env, &arguments.settings.flags()?)?;
    Ok(match arguments.command {
        Some(Command::Config { .. }) => Invocation::Print(effective.to_toml()),
        Some(Command::Status { redis, json }) => {
            let redis = redis.unwrap_or(effective.config.cluster.redis_url);
            if redis.is_empty() {
                return Err(CliError::NoRedis);
            }
            Invocation::Status { redis, json }
        }
        None => Invocation::Run(Box::new(effective.config)),
    })
}
