//! Settings as text: TOML for `tokio-socketio config`, a list for `--help`, a reference in Markdown.
//!
//! A secret is never printed. Its line is commented out, so that the output can be loaded again without taking
//! the mask for the secret.

use std::fmt::Write as _;

use super::table::{Setting, Shown};
use super::{Config, Effective, SECTIONS, SETTINGS, Source};

pub(super) const MASK: &str = "********";
/// Longer values are cut in error texts.
const MAX_SHOWN_CHARS: usize = 200;

pub(super) fn toml(effective: &Effective) -> String {
    let mut out = String::from("# The effective settings of tokio-socketio.\n");
    for (section, doc, settings) in by_section() {
        let _ = write!(out, "\n# {doc}\n[{section}]\n");
        for setting in settings {
            let _ = writeln!(out, "# {}", setting.doc.trim());
            let source = match effective.source(setting.section, setting.key) {
                Source::Default => String::new(),
                source => format!(" Set by {source}."),
            };
            let _ = writeln!(out, "# Allowed: {}. Default: {}.{source}", allowed(setting), default(setting));
            let value = (setting.get)(&effective.config);
            let _ = match masked(setting, &value) {
                None => writeln!(out, "{} = {value}", setting.key),
                Some(masked) => writeln!(out, "# {} = {masked} (set, not shown)", setting.key),
            };
        }
    }
    out
}

/// All settings with their defaults, for `--help`.
pub(crate) fn help() -> String {
    let mut out = String::from("Settings (section.key, default):\n");
    for (section, doc, settings) in by_section() {
        let _ = writeln!(out, "\n  [{section}] {doc}");
        for setting in settings {
            let _ = writeln!(out, "  {:<40} {}", setting.name(), default(setting));
            let _ = writeln!(out, "      {}", setting.doc.trim());
        }
    }
    out
}

/// All settings as a Markdown document, for `docs/`.
pub(crate) fn markdown() -> String {
    let mut out =
        String::from("# Settings\n\nWritten by `tokio-socketio config --reference`; do not edit.\n");
    for (section, doc, settings) in by_section() {
        let _ = write!(
            out,
            "\n## {section}\n\n{doc}\n\n| key | default | allowed | meaning |\n|---|---|---|---|\n"
        );
        for setting in settings {
            let doc = setting.doc.trim().replace('|', "\\|");
            let _ = writeln!(
                out,
                "| `{}` | `{}` | {} | {doc} |",
                setting.key,
                default(setting),
                allowed(setting)
            );
        }
    }
    out
}

fn by_section() -> impl Iterator<Item = (&'static str, &'static str, impl Iterator<Item = &'static Setting>)>
{
    SECTIONS.iter().map(|(section, doc)| {
        (*section, doc.trim(), SETTINGS.iter().filter(move |setting| setting.section == *section))
    })
}

fn default(setting: &Setting) -> toml::Value {
    (setting.get)(&Config::default())
}

fn allowed(setting: &Setting) -> String {
    (setting.allowed)()
}

/// What to show instead of the value, if it holds a secret.
fn masked(setting: &Setting, value: &toml::Value) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    match setting.shown {
        Shown::Full => None,
        Shown::Secret => Some(format!("{MASK:?}")),
        Shown::Url => mask_url(text).map(|url| toml::Value::from(url).to_string()),
    }
}

/// The URL without its password, if it has one. What stands before the last `@` of the authority is user and
/// password (RFC 3986, section 3.2.1); a wrongly written URL is cut generously.
pub(super) fn mask_url(url: &str) -> Option<String> {
    let start = url.find("://")? + 3;
    let at = start + url[start..].rfind('@')?;
    let (user, _) = url[start..at].split_once(':')?;
    Some(format!("{}{user}:********{}", &url[..start], &url[at..]))
}

pub(super) fn one_line(value: &toml::Value) -> String {
    // A string may print over several lines as TOML; as JSON it never does.
    let text = match value {
        toml::Value::String(text) => format!("{text:?}"),
        other => other.to_string().replace('\n', " "),
    };
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_masked() {
        for (url, masked) in [
            ("mysql://im:s3cret@db:3306/im", "mysql://im:********@db:3306/im"),
            ("redis://:s3cret@cache", "redis://:********@cache"),
            ("mysql://im:s3c@ret/x@db/im", "mysql://im:********@db/im"),
        ] {
            assert_eq!(mask_url(url).as_deref(), Some(masked));
        }
        assert_eq!(mask_url("sqlite:data/a@b.db"), None);
        assert_eq!(mask_url("mysql://db/im"), None);
        assert_eq!(mask_url("mysql://im@db/im"), None);
    }

    #[test]
    fn a_refused_value_stays_on_one_line() {
        assert_eq!(one_line(&"a\nb".into()), r#""a\nb""#);
        assert!(one_line(&"x".repeat(10_000).into()).chars().count() <= MAX_SHOWN_CHARS + 1);
    }
}
