//! From texts to settings: file, then environment, then flags; the first fault stops and names its source.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::table::{Setting, Shown};
use super::value::Raw;
use super::{Config, SECTIONS, SETTINGS, print, rules};

const ENV_PREFIX: &str = "TOKIO_SOCKETIO_";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The settings file.
    File(PathBuf),
    /// The environment variable of this name.
    Env(String),
    /// The command line flag of this name.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A setting given on the command line. Of two for the same setting the later one holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The flag as it was written, for errors: `--listen`, `--set`.
    pub name: String,
    /// `section.key`.
    pub key: String,
    /// The value.
    pub value: String,
}

/// Why the settings were refused. The text is one line and shows no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not TOML.
    #[error("file {}, line {line}: {problem}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        problem: String,
    },
    /// A key that is no setting.
    #[error("{origin}: there is no setting {key}; `tokio-socketio config` prints all there are")]
    Unknown {
        /// Where it stands.
        origin: Source,
        /// The key.
        key: String,
    },
    /// A value that is not allowed.
    #[error("{origin}: {key} = {value} is not allowed; write {allowed}")]
    Value {
        /// Where it stands.
        origin: Source,
        /// `section.key`.
        key: String,
        /// The value, masked if it is a secret.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// Settings that do not go together, in words.
    #[error("{0}")]
    Together(String),
}

impl Config {
    /// Settings from the text of a file (with its path, for errors), environment variables and flags, each winning
    /// over the ones before. Variables that do not begin with `TOKIO_SOCKETIO_` are ignored, except `NODE_ID`.
    pub fn load(
        file: Option<(&Path, &str)>,
        env: impl IntoIterator<Item = (String, String)>,
        flags: &[Flag],
    ) -> Result<Self, ConfigError> {
        Effective::load(file, env, flags).map(|effective| effective.config)
    }
}

/// Settings with the source of each.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The settings.
    pub config: Config,
    /// By index in `SETTINGS`.
    sources: Vec<Source>,
}

impl Effective {
    /// As [`Config::load`].
    pub fn load(
        file: Option<(&Path, &str)>,
        env: impl IntoIterator<Item = (String, String)>,
        flags: &[Flag],
    ) -> Result<Self, ConfigError> {
        let mut effective =
            Self { config: Config::default(), sources: vec![Source::Default; SETTINGS.len()] };
        if let Some((path, text)) = file {
            effective.apply_file(path, text)?;
        }
        // Sorted, NODE_ID comes before TOKIO_SOCKETIO_NODE_ID, which wins; and the first fault is always the same.
        for (name, value) in env.into_iter().collect::<BTreeMap<_, _>>() {
            effective.apply_env(name, &value)?;
        }
        for flag in flags {
            let source = Source::Flag(flag.name.clone());
            effective.set(source, &flag.key, Raw::Text(&flag.value))?;
        }
        rules::check_together(&effective)?;
        Ok(effective)
    }

    /// The settings as TOML that can be loaded again, each with its documentation and source, secrets masked.
    pub fn to_toml(&self) -> String {
        print::toml(self)
    }

    pub(super) fn source(&self, section: &str, key: &str) -> &Source {
        let index = SETTINGS.iter().position(|setting| setting.section == section && setting.key == key);
        index.map_or(&Source::Default, |index| &self.sources[index])
    }

    fn apply_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let source = || Source::File(path.to_owned());
        // The parser's own text would show the line, and with it perhaps a secret.
        let file: toml::Table =
            toml::from_str(text).map_err(|error: toml::de::Error| ConfigError::Syntax {
                file: path.to_owned(),
                line: 1 + error.span().map_or(0, |span| text[..span.start].matches('\n').count()),
                problem: error.message().lines().collect::<Vec<_>>().join(" "),
            })?;
        for (section, value) in &file {
            let known = SECTIONS.iter().any(|(name, _)| name == section);
            let Some(keys) = value.as_table().filter(|_| known) else {
                return Err(ConfigError::Unknown { origin: source(), key: section.clone() });
            };
            for (key, value) in keys {
                self.set(source(), &format!("{section}.{key}"), Raw::Toml(value))?;
            }
        }
        Ok(())
    }

    fn apply_env(&mut self, name: String, value: &str) -> Result<(), ConfigError> {
        let key = match name.strip_prefix(ENV_PREFIX) {
            None if name == "NODE_ID" => "node.id".to_owned(),
            None => return Ok(()),
            // No section has an underscore in its name.
            Some(rest) => rest.to_ascii_lowercase().replacen('_', ".", 1),
        };
        let upper_case = !name.contains(|letter: char| letter.is_ascii_lowercase());
        if !upper_case || !SETTINGS.iter().any(|setting| setting.name() == key) {
            return Err(ConfigError::Unknown { key: name.clone(), origin: Source::Env(name) });
        }
        self.set(Source::Env(name), &key, Raw::Text(value))
    }

    fn set(&mut self, source: Source, key: &str, raw: Raw<'_>) -> Result<(), ConfigError> {
        let Some(index) = SETTINGS.iter().position(|setting| setting.name() == key) else {
            return Err(ConfigError::Unknown { origin: source, key: key.to_owned() });
        };
        let setting = &SETTINGS[index];
        if !(setting.set)(&mut self.config, raw) {
            return Err(ConfigError::Value {
                origin: source,
                key: key.to_owned(),
                value: refused(setting, raw),
                allowed: (setting.allowed)(),
            });
        }
        self.sources[index] = source;
        Ok(())
    }
}

/// A refused value for an error text: shown only when it cannot hold a secret, on one line, not too long.
fn refused(setting: &Setting, raw: Raw<'_>) -> String {
    let value = match raw {
        Raw::Toml(value) => value.clone(),
        Raw::Text(text) => text.into(),
    };
    match (setting.shown, value) {
        (Shown::Full, value) => print::one_line(&value),
        (Shown::Url, toml::Value::String(url)) => {
            print::one_line(&print::mask_url(&url).unwrap_or(url).into())
        }
        _ => format!("{:?}", print::MASK),
    }
}
