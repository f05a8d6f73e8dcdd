//! Each layer knows only those below it: no `use crate::` goes up (`docs/architecture.md`, "Layers").

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up. Modules on one line don't know each other, except where a line says so.
const LAYERS: &[&[&str]] = &[
    &["ids", "busy_poll", "close", "limiter", "timestamp", "turns", "under_way"],
    &["proto"],
    &["session", "bus"],
    &["shard"],
    &["socketio"],
    &["store"],
    &["presence", "auth"],
    &["config"],
    &["im", "cli"],
    &["api"],
    &["node"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The module of a file in `src/`: its folder there, or its name.
fn module_of(path: &Path) -> String {
    let relative = path.strip_prefix("src").unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules of this crate that a text names as `crate::name`, or in `use crate::{a, b::c}`.
fn imports(text: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, matched) in text.match_indices("crate::") {
        let rest = &text[at + matched.len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let mut depth = 1;
                let mut item = String::new();
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => found.push(name(std::mem::take(&mut item).trim())),
                        c => item.push(c),
                    }
                    if depth == 0 {
                        found.push(name(item.trim()));
                        break;
                    }
                }
            }
            None => found.push(name(rest)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn no_import_goes_up() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    assert!(files.len() > 50, "run from the project's root");
    let mut wrong = Vec::new();
    for path in files {
        let module = module_of(&path);
        if module == "lib" || module == "main" {
            continue;
        }
        let mine = layer(&module).unwrap_or_else(|| panic!("{module} stands in no layer: add it to LAYERS"));
        for import in imports(&fs::read_to_string(&path).unwrap()) {
            match layer(&import) {
                Some(theirs) if theirs < mine || import == module => (),
                _ => wrong.push(format!("{}: crate::{import}", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "these go up, or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn imports_are_seen() {
    let text = "use crate::a::B;\nuse crate::{c, d::{e, F}, g};\nlet x = crate::h::i();";
    assert_eq!(imports(text), ["a", "c", "d", "g", "h"]);
}
