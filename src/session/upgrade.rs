//! The upgrade from polling to WebSocket (protocol document, "Upgrade").
//!
//! ```text
//!            a WebSocket arrives        "2probe"             "5"
//!     Idle ─────────────────────▶ Open ──────────▶ Probed ──────────▶ Done
//!       ▲                           │                │
//!       └───────────────────────────┴────────────────┘
//!          the probe is lost, breaks the rules, or takes too long:
//!          it is closed, and polling goes on as if nothing had been
//! ```
//!
//! From `Probed` on, a poll is answered at once with a noop, so that the client can let polling go.

use super::time::Time;

/// Where an upgrade stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// None is under way, one may begin.
    Idle,
    /// A WebSocket has come; nothing was said on it.
    Open { by: Time },
    /// The probe was answered; the client may complete the upgrade.
    Probed { by: Time },
    /// The session lives on a WebSocket. There is no way back.
    Done,
}

impl Upgrade {
    /// When the shell must come back.
    pub(super) fn deadline(self) -> Time {
        match self {
            Upgrade::Open { by } | Upgrade::Probed { by } => by,
            Upgrade::Idle | Upgrade::Done => Time::NEVER,
        }
    }
}

/// Why a WebSocket may not probe this session. It is closed; the session does not notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another probe is under way.
    #[error("an upgrade is under way")]
    UnderWay,
    /// The session is on a WebSocket already.
    #[error("the session has upgraded")]
    Upgraded,
    /// Upgrades are off, or the session is ending.
    #[error("the session can't upgrade")]
    NotPossible,
}
