//! Settings from a file, the environment and flags: which wins, what is refused and how, what is shown.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio_socketio::cli::{self, CliError, Invocation};
use tokio_socketio::config::{
    AuthMode, ByteSize, Config, ConfigError, Effective, Flag, LogFormat, Transport, WordsMode,
};

fn env(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flags(settings: &[(&str, &str)]) -> Vec<Flag> {
    let flag = |(key, value): &(&str, &str)| Flag {
        name: "--set".into(),
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    settings.iter().map(flag).collect()
}

fn load(file: &str, variables: &[(&str, &str)], settings: &[(&str, &str)]) -> Result<Effective, ConfigError> {
    Effective::load(Some((Path::new("my.toml"), file)), env(variables), &flags(settings))
}

fn config(file: &str, variables: &[(&str, &str)], settings: &[(&str, &str)]) -> Config {
    load(file, variables, settings).unwrap_or_else(|error| panic!("{error}")).config
}

/// The error text, which must be one line.
fn refused(file: &str, variables: &[(&str, &str)], settings: &[(&str, &str)]) -> String {
    let text = load(file, variables, settings).expect_err("it should be refused").to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn assert_mentions(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn nothing_set_gives_the_documented_defaults() {
    let Config { node, socketio, limits, auth, cluster, store, im, log } =
        Config::load(None, [], &[]).unwrap();
    assert_eq!((node.id.as_str(), node.shards), ("node-1", 0));
    assert_eq!(node.http_listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(socketio.listen, "127.0.0.1:8081".parse().unwrap());
    assert_eq!(socketio.ping_interval, Duration::from_secs(25));
    assert_eq!(socketio.ping_timeout, Duration::from_secs(20));
    assert_eq!(socketio.max_payload, ByteSize(1_000_000));
    assert_eq!(socketio.transports, [Transport::Polling, Transport::WebSocket]);
    assert_eq!(socketio.cors_origins, ["*"]);
    assert_eq!((limits.max_connections, limits.outbox_hard.bytes()), (1_000_000, 16 << 20));
    assert_eq!((auth.mode, auth.jwt_secret.as_str()), (AuthMode::Open, ""));
    assert_eq!((cluster.redis_url.as_str(), cluster.node_lease), ("", Duration::from_secs(10)));
    assert_eq!((store.url.as_str(), store.queue), ("sqlite:data/tokio-socketio.db", 10_000));
    assert_eq!((im.max_content_chars, im.sync_page, im.sync_page_max), (5000, 100, 500));
    assert_eq!((log.level.as_str(), log.format), ("info", LogFormat::Text));
}

#[test]
fn flags_win_over_environment_over_file() {
    let file = "[socketio]\nping_interval = \"1s\"";
    let variable = ("TOKIO_SOCKETIO_SOCKETIO_PING_INTERVAL", "2s");
    let flag = ("socketio.ping_interval", "3s");
    let seconds = |config: Config| config.socketio.ping_interval.as_secs();
    assert_eq!(seconds(config(file, &[], &[])), 1);
    assert_eq!(seconds(config(file, &[variable], &[])), 2);
    assert_eq!(seconds(config(file, &[variable], &[flag])), 3);
    assert_eq!(seconds(config(file, &[], &[flag])), 3);
    assert_eq!(seconds(config("", &[variable], &[flag])), 3);
    assert_eq!(seconds(config("", &[], &[flag, ("socketio.ping_interval", "4s")])), 4, "the later flag");
}

#[test]
fn node_id_has_a_second_variable() {
    assert_eq!(config("", &[("NODE_ID", "n2")], &[]).node.id, "n2");
    let both = [("TOKIO_SOCKETIO_NODE_ID", "n3"), ("NODE_ID", "n2")];
    assert_eq!(config("", &both, &[]).node.id, "n3", "the program's own variable wins");
    assert_mentions(&refused("", &[("NODE_ID", "")], &[]), &["NODE_ID", "node.id", "1 to 64"]);
}

#[test]
fn every_source_writes_every_type() {
    let file = r#"
        [node]
        shards = 3
        [socketio]
        listen = "[::1]:9001"
        ping_timeout = 250
        max_payload = "64KiB"
        transports = ["websocket"]
        cors_origins = ["https://a.example", "https://b.example"]
        cors_credentials = true
        [log]
        format = "json"
    "#;
    let variables = [
        ("TOKIO_SOCKETIO_NODE_SHARDS", "3"),
        ("TOKIO_SOCKETIO_SOCKETIO_LISTEN", "[::1]:9001"),
        ("TOKIO_SOCKETIO_SOCKETIO_PING_TIMEOUT", "250"),
        ("TOKIO_SOCKETIO_SOCKETIO_MAX_PAYLOAD", "65536"),
        ("TOKIO_SOCKETIO_SOCKETIO_TRANSPORTS", "websocket"),
        ("TOKIO_SOCKETIO_SOCKETIO_CORS_ORIGINS", "https://a.example, https://b.example"),
        ("TOKIO_SOCKETIO_SOCKETIO_CORS_CREDENTIALS", "true"),
        ("TOKIO_SOCKETIO_LOG_FORMAT", "json"),
    ];
    let from_file = config(file, &[], &[]);
    assert_eq!(from_file.socketio.ping_timeout, Duration::from_millis(250));
    assert_eq!(from_file.socketio.max_payload, ByteSize(65_536));
    assert_eq!(from_file.socketio.cors_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(config("", &variables, &[]), from_file);
    let as_flags = variables.map(|(name, value)| {
        (name.strip_prefix("TOKIO_SOCKETIO_").unwrap().to_ascii_lowercase().replacen('_', ".", 1), value)
    });
    let as_flags: Vec<_> = as_flags.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    assert_eq!(config("", &[], &as_flags), from_file);
    assert!(
        config("", &[("TOKIO_SOCKETIO_SOCKETIO_CORS_ORIGINS", "")], &[]).socketio.cors_origins.is_empty()
    );
}

#[test]
fn unknown_keys_are_named_with_their_source() {
    for (file, key) in [
        ("[socketio]\nping_intervall = 1", "socketio.ping_intervall"),
        ("[sockets]\na = 1", "sockets"),
        ("[sockets]", "sockets"),
        ("ping_interval = 1", "ping_interval"),
        ("socketio = 1", "socketio"),
        ("[socketio.listen]\nport = 1", "socketio.listen"),
    ] {
        assert_mentions(&refused(file, &[], &[]), &["file my.toml", key]);
    }
    for name in [
        "TOKIO_SOCKETIO_SOCKETIO_PING_INTERVALL",
        "TOKIO_SOCKETIO_PING_INTERVAL",
        "TOKIO_SOCKETIO_SOCKETIO.PING_INTERVAL",
        "TOKIO_SOCKETIO_socketio_ping_interval",
        "TOKIO_SOCKETIO_",
        "TOKIO_SOCKETIO_NODE",
    ] {
        assert_mentions(&refused("", &[(name, "1s")], &[]), &["environment variable", name, "no setting"]);
    }
    for key in ["socketio.ping_intervall", "ping_interval", "", "socketio", "SOCKETIO.PING_INTERVAL"] {
        assert_mentions(&refused("", &[], &[(key, "1s")]), &["flag --set", key, "no setting"]);
    }
    // Other programs' variables are none of our business.
    config("", &[("PATH", "/bin"), ("TOKIO_WORKER_THREADS", "1"), ("SOCKETIO_PATH", "x")], &[]);
}

#[test]
fn values_out_of_range_name_source_key_value_and_range() {
    let text = refused("[limits]\nmax_rooms_per_socket = 0", &[], &[]);
    assert_mentions(&text, &["file my.toml", "limits.max_rooms_per_socket = 0", "1 to 1000000"]);
    let text = refused("", &[("TOKIO_SOCKETIO_SOCKETIO_PING_INTERVAL", "25h")], &[]);
    assert_mentions(
        &text,
        &["TOKIO_SOCKETIO_SOCKETIO_PING_INTERVAL", "socketio.ping_interval = \"25h\"", "1ms to 24h"],
    );
    let text = refused("", &[], &[("limits.max_head_bytes", "2MiB")]);
    assert_mentions(&text, &["flag --set", "limits.max_head_bytes = \"2MiB\"", "256B to 1MiB"]);
    for (key, value) in [
        ("node.id", "two words"),
        ("node.shards", "-1"),
        ("node.shards", "99999999999999999999"),
        ("node.http_listen", "localhost:80"),
        ("node.insecure_open_auth", "yes"),
        ("socketio.path", "no-slash"),
        ("socketio.ping_interval", "0"),
        ("socketio.transports", ""),
        ("socketio.transports", "polling,polling"),
        ("socketio.transports", "smoke"),
        ("socketio.cors_origins", "a.example"),
        ("socketio.cookie", "a;b"),
        ("auth.mode", "closed"),
        ("store.url", "mysql://db"),
        ("cluster.redis_url", "127.0.0.1:6379"),
        ("im.sync_page", "0"),
        ("log.level", "loud"),
        ("log.format", "xml"),
    ] {
        assert_mentions(&refused("", &[], &[(key, value)]), &["flag --set", key, value, "write "]);
    }
    for line in [
        "shards = 1.0",
        "shards = \"x\"",
        "shards = -1",
        "shards = true",
        "shards = [1]",
        "id = 1",
        "drain_timeout = {}",
    ] {
        assert_mentions(&refused(&format!("[node]\n{line}"), &[], &[]), &["file my.toml: node."]);
    }
    assert_mentions(&refused("[socketio]\ntransports = \"polling\"", &[], &[]), &["socketio.transports"]);
}

#[test]
fn a_file_that_is_no_toml_is_named_with_its_line() {
    let text = refused("[auth]\njwt_secret = \"hush\"\nmode = open\n", &[], &[]);
    assert_mentions(&text, &["my.toml", "line 3"]);
    let text = refused("[auth]\njwt_secret = hush hush\n", &[], &[]);
    assert_mentions(&text, &["my.toml", "line 2"]);
    assert!(!text.contains("hush"), "{text}");
    assert_mentions(&refused("[node]\n[node]\n", &[], &[]), &["line 2"]);
}

#[test]
fn open_authentication_stays_on_loopback_unless_told() {
    for (key, address) in [
        ("socketio.listen", "0.0.0.0:8081"),
        ("node.http_listen", "192.0.2.1:8080"),
        ("socketio.listen", "[::]:8081"),
        ("socketio.listen", "[::ffff:192.0.2.1]:8081"),
    ] {
        let text = refused("", &[], &[(key, address)]);
        assert_mentions(&text, &["flag --set", key, address, "--insecure-open-auth"]);
        config("", &[], &[(key, address), ("node.insecure_open_auth", "true")]);
    }
    for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        config("", &[], &[("socketio.listen", address)]);
    }
}

#[test]
fn contradictions_are_refused() {
    assert_mentions(
        &refused("", &[], &[("limits.outbox_soft", "17MiB")]),
        &["limits.outbox_soft", "outbox_hard"],
    );
    assert_mentions(&refused("", &[], &[("im.sync_page_max", "99")]), &["im.sync_page", "99"]);
    assert_mentions(&refused("", &[], &[("socketio.cors_credentials", "true")]), &["socketio.cors_origins"]);
    assert_mentions(&refused("", &[], &[("socketio.listen", "127.0.0.1:8080")]), &["different ports"]);
    assert_mentions(
        &refused("[auth]\npassword_max_chars = 7", &[], &[]),
        &["auth.password_min_chars", "auth.password_max_chars", "7"],
    );
    let any_port = [("socketio.listen", "127.0.0.1:0"), ("node.http_listen", "127.0.0.1:0")];
    config("", &[], &any_port);
}

#[test]
fn token_authentication_needs_a_key_and_may_be_reached_from_anywhere() {
    const SECRET: &str = "a secret that is 32 bytes long..";
    let mode = ("auth.mode", "jwt");
    assert_mentions(
        &refused("[auth]\nmode = \"jwt\"", &[], &[]),
        &["file my.toml", "auth.jwt_secret", "auth.jwt_keys", "openssl rand"],
    );
    config("", &[], &[mode, ("auth.jwt_secret", SECRET), ("socketio.listen", "0.0.0.0:8081")]);
    let keys = ("auth.jwt_keys", "2026-a=EdDSA:keys/a.pem, partner=RS256:/etc/im/partner.pem");
    let auth = config("", &[], &[mode, keys, ("socketio.listen", "0.0.0.0:8081")]).auth;
    assert_eq!(auth.jwt_keys, ["2026-a=EdDSA:keys/a.pem", "partner=RS256:/etc/im/partner.pem"]);

    config("", &[], &[mode, keys, ("auth.jwt_issue_key", "2026-a")]);
    assert_mentions(
        &refused("", &[], &[mode, keys, ("auth.jwt_issue_key", "2026-b")]),
        &["flag --set", "auth.jwt_issue_key", "2026-b", "2026-a, partner"],
    );
    for bad in ["a=HS512:f", "a=none:f", "a", "a=HS256:f,a=HS256:g"] {
        assert_mentions(
            &refused("", &[], &[("auth.jwt_keys", bad)]),
            &["auth.jwt_keys", "KID=ALGORITHM:FILE"],
        );
    }
    let text = refused("", &[], &[("auth.jwt_secret", &SECRET[1..])]);
    assert_mentions(&text, &["auth.jwt_secret = \"********\"", "at least 32 bytes"]);
    assert!(!text.contains(&SECRET[1..]), "{text}");
    assert_mentions(&refused("[auth]\njwt_issuers = [\"a\", \"\"]", &[], &[]), &["auth.jwt_issuers"]);
}

#[test]
fn limits_and_the_word_filter_are_generous_or_off() {
    let Config { auth, im, .. } = config("", &[], &[]);
    assert_eq!((auth.logins_per_minute, auth.registrations_per_hour), (60, 100));
    assert_eq!((im.messages_per_second, im.message_burst, im.typing_per_second), (100, 500, 20));
    assert_eq!((im.watch_limit, im.words_file.as_str(), im.words_mode), (1000, "", WordsMode::Mask));
    assert_eq!(auth.token_ttl, Duration::from_secs(86_400));
    let refusing = config("[im]\nwords_file = \"words.txt\"\nwords_mode = \"refuse\"", &[], &[]).im;
    assert_eq!((refusing.words_file.as_str(), refusing.words_mode), ("words.txt", WordsMode::Refuse));
    assert_mentions(&refused("", &[], &[("im.words_mode", "delete")]), &["mask or refuse"]);
}

#[test]
fn what_is_printed_loads_again() {
    let settings = [
        ("node.id", "n.7"),
        ("node.shards", "5"),
        ("socketio.ping_interval", "1500ms"),
        ("socketio.transports", "websocket,polling"),
        ("socketio.cors_origins", "https://a.example,http://[::1]:3000"),
        ("socketio.cookie", "io"),
        ("limits.outbox_soft", "12345"),
        ("limits.keep_alive_timeout", "0"),
        ("store.url", "sqlite:/var/\"quoted\" \\ path/é.db"),
        ("im.multi_device", "false"),
        ("auth.jwt_keys", "a=RS256:keys/a b.pem,c=EdDSA:c.pem"),
        ("auth.jwt_issue_key", "c"),
        ("im.words_mode", "refuse"),
        ("log.level", "warn,tokio_socketio::store=trace"),
        ("log.format", "json"),
    ];
    for settings in [&[][..], &settings] {
        let effective = load("", &[], settings).unwrap();
        let printed = effective.to_toml();
        let again = config(&printed, &[], &[]);
        assert_eq!(again, effective.config, "{printed}");
    }
}

#[test]
fn print_names_the_source_of_what_was_set() {
    let printed =
        load("[im]\nsync_page = 7", &[("NODE_ID", "n2")], &[("log.level", "warn")]).unwrap().to_toml();
    assert_mentions(
        &printed,
        &["sync_page = 7", "Set by file my.toml", "Set by environment variable NODE_ID"],
    );
    assert_mentions(&printed, &["level = \"warn\"", "Set by flag --set"]);
    assert_eq!(printed.matches("Set by").count(), 3);
}

#[test]
fn secrets_are_masked_everywhere() {
    const SECRET: &str = "hush-hush-nobody-must-ever-see-this";
    let effective = load("", &[], &[("auth.jwt_secret", SECRET)]).unwrap();
    assert_eq!(effective.config.auth.jwt_secret, SECRET);
    let printed = effective.to_toml();
    assert!(!printed.contains(SECRET), "{printed}");
    assert_mentions(&printed, &["# jwt_secret = \"********\""]);
    assert_eq!(config(&printed, &[], &[]).auth.jwt_secret, "", "the mask is not taken for a secret");
    for debug in [format!("{:?}", effective), format!("{:?}", effective.config)] {
        assert!(!debug.contains(SECRET), "{debug}");
    }

    // Without a database's name.
    let url = format!("mysql://im:{SECRET}@db");
    let text = refused("", &[], &[("store.url", &url)]);
    assert!(!text.contains(SECRET), "{text}");
    assert_mentions(&text, &["mysql://im:********@db"]);
    let text = refused(&format!("[auth]\njwt_secret = [\"{SECRET}\"]"), &[], &[]);
    assert!(!text.contains(SECRET), "{text}");
}

// The command line.

fn no_file(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

fn parse(arguments: &[&str]) -> Result<Invocation, CliError> {
    cli::parse_from(["tokio-socketio"].iter().chain(arguments), [], no_file)
}

fn run(arguments: &[&str]) -> Config {
    match parse(arguments).unwrap_or_else(|error| panic!("{error}")) {
        Invocation::Run(config) => *config,
        other => panic!("it should run, not {other:?}"),
    }
}

fn print(arguments: &[&str]) -> String {
    match parse(arguments).unwrap_or_else(|error| panic!("{error}")) {
        Invocation::Print(text) => text,
        other => panic!("it should print, not {other:?}"),
    }
}

#[test]
fn no_arguments_run_with_defaults() {
    assert_eq!(run(&[]), Config::default());
}

#[test]
fn named_flags_set_their_settings() {
    let config = run(&[
        "--listen",
        "127.0.0.1:1",
        "--http-listen",
        "127.0.0.1:2",
        "--data",
        "/var/lib/im/",
        "--node-id",
        "n2",
        "--log",
        "debug",
        "--insecure-open-auth",
        "--set",
        "im.sync_page=7",
        "--set=im.sync_page_max=9",
    ]);
    assert_eq!(config.socketio.listen.port(), 1);
    assert_eq!(config.node.http_listen.port(), 2);
    assert_eq!(config.store.url, "sqlite:/var/lib/im/tokio-socketio.db");
    assert_eq!((config.node.id.as_str(), config.log.level.as_str()), ("n2", "debug"));
    assert!(config.node.insecure_open_auth);
    assert_eq!((config.im.sync_page, config.im.sync_page_max), (7, 9));
    assert_eq!(run(&["--node-id", "named", "--set", "node.id=general"]).node.id, "named");
    for (directory, file) in
        [("/", "/tokio-socketio.db"), ("", "tokio-socketio.db"), ("a/b", "a/b/tokio-socketio.db")]
    {
        assert_eq!(run(&["--data", directory]).store.sqlite_path(), Some(Path::new(file)));
    }
}

#[test]
fn faults_on_the_command_line_name_the_flag() {
    for (arguments, parts) in [
        (&["--listen", "nowhere"][..], &["flag --listen", "socketio.listen", "nowhere"][..]),
        (&["--listen", "0.0.0.0:1"], &["flag --listen", "0.0.0.0:1", "--insecure-open-auth"]),
        (&["--set", "im.sync_page"], &["--set", "section.key=value"]),
        (&["--set", "im.sync_pag=1"], &["flag --set", "im.sync_pag"]),
        (&["--lissten", "x"], &["--lissten"]),
        (&["serve"], &["serve"]),
        (&["--config", "missing.toml"], &["missing.toml"]),
    ] {
        assert_mentions(&parse(arguments).unwrap_err().to_string(), parts);
    }
}

#[test]
fn the_file_is_the_named_one_or_the_default_one() {
    let files = |path: &Path| match path.to_str() {
        Some("tokio-socketio.toml") => Ok("[node]\nid = \"default-file\"".to_owned()),
        Some("other.toml") => Ok("[node]\nid = \"other-file\"".to_owned()),
        _ => no_file(path),
    };
    let id = |arguments: &[&str]| match cli::parse_from(arguments, [], files) {
        Ok(Invocation::Run(config)) => config.node.id,
        other => panic!("{other:?}"),
    };
    assert_eq!(id(&["program"]), "default-file");
    assert_eq!(id(&["program", "--config", "other.toml"]), "other-file");
    let denied = |_: &Path| Err(io::ErrorKind::PermissionDenied.into());
    let error = cli::parse_from(["program"], [], denied).unwrap_err().to_string();
    assert_mentions(&error, &["tokio-socketio.toml", "permission denied"]);
}

#[test]
fn config_prints_the_effective_settings() {
    let printed = print(&["config", "--node-id", "n2"]);
    assert_mentions(&printed, &["id = \"n2\"", "flag --node-id"]);
    assert_eq!(print(&["--node-id", "n2", "config"]), printed, "flags stand before or after the subcommand");
    assert_mentions(&parse(&["config", "--log", "loud"]).unwrap_err().to_string(), &["log.level"]);
}

#[test]
fn help_and_reference_tell_every_setting() {
    let help = parse(&["--help"]).unwrap_err().to_string();
    assert_mentions(
        &help,
        &["tokio-socketio config", "TOKIO_SOCKETIO_", "--set", "NODE_ID", "tokio-socketio.toml"],
    );
    let reference = print(&["config", "--reference"]);
    let printed = print(&["config"]);
    let settings: toml::Table = printed.parse().unwrap();
    let mut names = HashSet::new();
    for (section, keys) in &settings {
        for key in keys.as_table().unwrap().keys() {
            assert_mentions(&help, &[&format!("{section}.{key} ")]);
            assert_mentions(&reference, &[&format!("| `{key}` |")]);
            names.insert(format!("{section}.{key}"));
        }
    }
    assert!(names.len() >= 43 && names.contains("limits.head_timeout"), "{names:?}");
    let short = parse(&["-h"]).unwrap_err().to_string();
    assert!(short.lines().count() < 60, "-h should fit a screen:\n{short}");
}
