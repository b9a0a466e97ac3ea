//! What holds for the sources. Each rule names file and line of what breaks it.

use crate::source::{SourceFile, Token, closing};

/// The middle, from left to right; modules of one rank do not import each other.
const MIDDLE: &[&[&str]] = &[
    &["units"],
    &["profiles"],
    &["model", "hardware"],
    &["sharding"],
    &["engines"],
    &["placement"],
    &["planning"],
    &["oom"],
    &["report"],
];

/// What touches files, clock, network and cards; may import all of the middle, and its own kind.
const EDGE: &[&str] = &["sources", "probe", "loader", "monitor", "runner", "tui", "cli"];

/// Files in which `unsafe` may stand: the CUDA driver, and two NVML calls that nvml-wrapper does not wrap.
pub const UNSAFE: &[&str] = &["loader/device/cuda.rs", "probe/unwrapped.rs"];

/// What the middle does not name of the standard library; of `time` only durations are values.
const OUTSIDE: &[&str] = &["env", "fs", "net", "os", "process", "thread"];

fn rank(module: &str) -> Option<usize> {
    MIDDLE.iter().position(|rank| rank.contains(&module))
}

/// The top module of a file; `None` for `lib.rs` and `main.rs`, which join them.
fn home(file: &SourceFile) -> Option<String> {
    (file.path.iter().count() > 1).then(|| file.module().swap_remove(0))
}

fn is_middle(file: &SourceFile) -> bool {
    home(file).is_some_and(|home| rank(&home).is_some())
}

fn at(file: &SourceFile, line: usize, what: &str) -> String {
    format!("src/{}:{line}: {what}", file.path.display())
}

/// A module that stands in neither list.
pub fn unplaced(file: &SourceFile) -> Option<String> {
    let home = match home(file) {
        Some(home) => home,
        None if ["lib.rs", "main.rs"].iter().any(|root| file.path.as_os_str() == *root) => return None,
        None => file.module().concat(),
    };
    let placed = rank(&home).is_some() || EDGE.contains(&home.as_str());
    (!placed).then(|| at(file, 1, &format!("`{home}` has no place among middle and edge")))
}

/// Imports of the edge by the middle, and imports to the right.
pub fn imports(file: &SourceFile) -> Vec<String> {
    let Some(home) = home(file) else { return Vec::new() };
    let Some(own) = rank(&home) else { return Vec::new() };
    let wrong = imported(file).into_iter().filter_map(|(module, line)| {
        if module == home {
            return None;
        }
        if EDGE.contains(&module.as_str()) {
            let what = format!("`{home}` belongs to the middle and imports `{module}`, which is the edge");
            return Some(at(file, line, &what));
        }
        (rank(&module)? >= own)
            .then(|| at(file, line, &format!("`{home}` imports `{module}`, which is not to its left")))
    });
    wrong.collect()
}

/// Top modules that the code names: by `crate::`, by the library's own name, or by as many `super::` as lead there.
pub fn imported(file: &SourceFile) -> Vec<(String, usize)> {
    let depth = file.module().len();
    let tokens = &file.tokens;
    let mut found = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        if !follows_a_name(tokens, i) {
            let to_root = match tokens[i].text.as_str() {
                "crate" | "shardfit" => true,
                "super" => {
                    let mut steps = 1;
                    while path_continues(tokens, i + 1) && tokens.get(i + 3).is_some_and(|t| t.text == "super") {
                        (steps, i) = (steps + 1, i + 3);
                    }
                    steps == depth
                }
                _ => false,
            };
            if to_root && path_continues(tokens, i + 1) {
                heads(tokens, i + 3, &mut found);
            }
        }
        i += 1;
    }
    found
}

/// Whether the token continues a path: `name::` stands before it. A leading `::` does not count.
fn follows_a_name(tokens: &[Token], at: usize) -> bool {
    let name = |token: &Token| token.text.chars().all(|c| c.is_alphanumeric() || c == '_') && token.text != "use";
    at >= 3 && path_continues(tokens, at - 2) && name(&tokens[at - 3])
}

/// Whether `::` stands here.
fn path_continues(tokens: &[Token], at: usize) -> bool {
    [0, 1].iter().all(|i| tokens.get(at + i).is_some_and(|token| token.text == ":"))
}

/// The first name of each path of a group, or the one name that stands here.
fn heads(tokens: &[Token], at: usize, found: &mut Vec<(String, usize)>) {
    let Some(first) = tokens.get(at) else { return };
    if first.text != "{" {
        found.push((first.text.clone(), first.line));
        return;
    }
    let end = closing(tokens, at);
    let (mut i, mut starts) = (at + 1, true);
    while i < end {
        match tokens[i].text.as_str() {
            "{" => i = closing(tokens, i),
            "," => starts = true,
            name if starts => {
                found.push((name.to_owned(), tokens[i].line));
                starts = false;
            }
            _ => {}
        }
        i += 1;
    }
}

/// `unsafe` outside its two files.
pub fn unsafe_code(file: &SourceFile) -> Vec<String> {
    if UNSAFE.iter().any(|allowed| file.path.as_os_str() == *allowed) {
        return Vec::new();
    }
    let words = file.tokens.iter().filter(|token| token.text == "unsafe");
    words.map(|token| at(file, token.line, "`unsafe`")).collect()
}

/// Macros that print, outside the command line.
pub fn printing(file: &SourceFile) -> Vec<String> {
    if home(file).is_some_and(|home| home == "cli") {
        return Vec::new();
    }
    let calls = file.tokens.windows(2).filter(|pair| {
        ["print", "println", "eprint", "eprintln", "dbg"].contains(&pair[0].text.as_str()) && pair[1].text == "!"
    });
    calls.map(|pair| at(file, pair[0].line, &format!("`{}!`", pair[0].text))).collect()
}

/// Files, environment, network, clock, processes and threads in the middle, and leave to use them.
pub fn reaching_out(file: &SourceFile) -> Vec<String> {
    if !is_middle(file) {
        return Vec::new();
    }
    let tokens = &file.tokens;
    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        if token.text == "disallowed_methods" {
            found.push(at(file, token.line, "the middle is excused from `disallowed_methods`"));
        }
        if token.text != "std" || !path_continues(tokens, i + 1) {
            continue;
        }
        let mut named = Vec::new();
        heads(tokens, i + 3, &mut named);
        for (module, line) in named {
            if OUTSIDE.contains(&module.as_str()) {
                found.push(at(file, line, &format!("the middle names `std::{module}`")));
            }
        }
        if tokens.get(i + 3).is_some_and(|module| module.text == "time") && path_continues(tokens, i + 4) {
            let mut named = Vec::new();
            heads(tokens, i + 6, &mut named);
            let clocks = named.into_iter().filter(|(name, _)| name != "Duration");
            found.extend(clocks.map(|(name, line)| at(file, line, &format!("the middle names `std::time::{name}`"))));
        }
    }
    found
}
