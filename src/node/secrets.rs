//! What is read from files of their own, and again on SIGHUP: the keys of tokens, and the list of words.

use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::{NodeError, options};
use crate::auth::Tokens;
use crate::config::{AuthMode, Config};
use crate::im::Identities;
use crate::im::words::Words;

/// Keys and words.
#[derive(Clone)]
pub struct Secrets {
    /// The keys of tokens; none in open mode, where none are needed.
    pub tokens: Option<Arc<Tokens>>,
    /// The words that messages must not hold.
    pub words: Option<Arc<Words>>,
}

impl Secrets {
    pub fn load(config: &Config) -> Result<Self, NodeError> {
        let tokens = match config.auth.mode {
            AuthMode::Jwt => Some(Arc::new(Tokens::load(options::tokens(config))?)),
            AuthMode::Open => None,
        };
        let file = &config.im.words_file;
        let words = if file.is_empty() {
            None
        } else {
            Some(Arc::new(Words::load(Path::new(file), config.im.words_mode)?))
        };
        Ok(Secrets { tokens, words })
    }

    /// How clients show who they are.
    pub fn identities(&self) -> Identities {
        self.tokens.clone().map_or(Identities::Open, Identities::Tokens)
    }

    /// Reads all of it again at each SIGHUP. What can't be read or used leaves the old in force.
    pub fn reload_on_hangup(&self) -> std::io::Result<JoinHandle<()>> {
        let mut hangup = signal(SignalKind::hangup())?;
        let secrets = self.clone();
        Ok(tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                let secrets = secrets.clone();
                // Files, and a search automaton that takes its time.
                if let Err(error) = tokio::task::spawn_blocking(move || secrets.reload()).await {
                    tracing::error!(%error, "reloading has panicked");
                }
            }
        }))
    }

    fn reload(&self) {
        if let Some(tokens) = &self.tokens {
            match tokens.reload() {
                Ok(keys) => tracing::info!(keys, "the keys of tokens were read again"),
                Err(error) => tracing::error!(%error, "the old keys stay"),
            }
        }
        if let Some(words) = &self.words {
            match words.reload() {
                Ok(words) => tracing::info!(words, "the list of words was read again"),
                Err(error) => tracing::error!(%error, "the old list of words stays"),
            }
        }
    }
}
