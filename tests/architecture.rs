//! The direction of imports, read from `src/`: the middle never imports the edge, and a module imports only to its left. With it the
//! rules that no lint holds: where `unsafe` may stand, who may print, and that the middle reaches no file, clock or environment.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "reads the sources, and stops at the first surprise"
)]

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use source::SourceFile;

/// Every file under `src/` without its tests.
fn sources() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    let texts = paths.into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_owned(), text)
    });
    source::without_tests(texts.collect())
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[track_caller]
fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn imports_go_to_the_left() {
    let sources = sources();
    // So that silence means something.
    let imports: usize = sources.iter().map(|file| rules::imported(file).len()).sum();
    assert!(sources.len() > 200 && imports > 500, "only {} files with {imports} imports were read", sources.len());
    assert_none(&sources.iter().flat_map(rules::imports).collect::<Vec<_>>());
}

#[test]
fn every_module_has_its_place() {
    assert_none(&sources().iter().flat_map(rules::unplaced).collect::<Vec<_>>());
}

#[test]
fn unsafe_stands_in_two_files() {
    let sources = sources();
    assert_none(&sources.iter().flat_map(rules::unsafe_code).collect::<Vec<_>>());
    for allowed in rules::UNSAFE {
        assert!(sources.iter().any(|file| file.path == Path::new(allowed)), "`{allowed}` is gone: shorten the list");
    }
}

#[test]
fn only_the_command_line_prints() {
    assert_none(&sources().iter().flat_map(rules::printing).collect::<Vec<_>>());
}

#[test]
fn the_middle_reaches_nothing_outside() {
    assert_none(&sources().iter().flat_map(rules::reaching_out).collect::<Vec<_>>());
}

/// One made-up file, as if it lay at `path` under `src/`.
fn made_up(path: &str, text: &str) -> SourceFile {
    source::without_tests(vec![(PathBuf::from(path), text.to_owned())]).pop().unwrap()
}

#[test]
fn a_wrong_import_is_found_with_its_line() {
    let broken = |path: &str, text: &str| rules::imports(&made_up(path, text));
    assert_eq!(
        broken("planning/search.rs", "//! About.\n\nuse crate::probe::Snapshot;\n"),
        ["src/planning/search.rs:3: `planning` belongs to the middle and imports `probe`, which is the edge"]
    );
    assert_eq!(
        broken("units/bytes.rs", "use crate::model::Model;"),
        ["src/units/bytes.rs:1: `units` imports `model`, which is not to its left"]
    );
    // However it is written.
    for text in [
        "use crate::{units::Bytes, report::Tool};",
        "use crate::{\n    report as shown,\n};",
        "fn f() -> crate::report::Tool { todo() }",
        "use super::super::report::Tool;",
        "use super::super::{report, units};",
        "use crate :: report::*;",
        "pub(crate) use ::shardfit::report::Tool;",
    ] {
        assert_eq!(broken("sharding/slices.rs", text).len(), 1, "{text}");
    }
    // Modules of one rank do not know each other.
    assert_eq!(broken("model/facts.rs", "use crate::hardware::Card;").len(), 1);
    assert_eq!(broken("hardware/mod.rs", "use super::model::Model;").len(), 1);
    // A nested group counts from where it stands.
    assert_eq!(broken("engines/plan.rs", "use crate::{sharding::{a, b}, placement::{c, d}};").len(), 1);
}

#[test]
fn what_is_right_is_left_alone() {
    for (path, text) in [
        ("planning/search.rs", "use crate::engines::Engine; use crate::units::Bytes; use super::Verdict;"),
        ("cli/commands/plan.rs", "use crate::planning; use crate::probe::Probe; use super::super::Exit;"),
        (
            "units/bytes.rs",
            "//! See [`crate::report`].\n// use crate::cli;\n/* crate::probe /* nested */ crate::cli */",
        ),
        (
            "units/bytes.rs",
            r##"const S: &str = "crate::cli"; const R: &str = r#"use crate::"tui""#; const C: char = '"';"##,
        ),
        ("units/bytes.rs", "fn f<'a>(x: &'a str) -> &'a str { x }\n#[cfg(test)]\nmod tests { use crate::cli::Exit; }"),
        ("units/bytes.rs", "#[cfg(test)]\nuse crate::report::Tool;\nfn f() {}"),
        ("sharding/slices.rs", "use super::report;"),
        ("engines/plan.rs", "use other_crate::report; fn f(crate_report: u8) {}"),
    ] {
        assert_eq!(rules::imports(&made_up(path, text)), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn files_of_tests_are_left_out() {
    let file = |path: &str, text: &str| (PathBuf::from(path), text.to_owned());
    let left = source::without_tests(vec![
        file("hardware/visible.rs", "#[cfg(test)]\n#[path = \"visible_tests.rs\"]\nmod tests;"),
        file("hardware/visible_tests.rs", "use crate::probe::Probe;"),
        file("engines/command_line/mod.rs", "mod words;\n#[cfg(test)]\n#[allow(x, reason = \"a; b\")]\nmod tests;"),
        file("engines/command_line/words.rs", ""),
        file("engines/command_line/tests/mod.rs", "mod inner;"),
        file("engines/command_line/tests/inner.rs", "use crate::cli;"),
    ]);
    let left: Vec<_> = left.iter().map(|file| file.path.to_str().unwrap()).collect();
    assert_eq!(left, ["hardware/visible.rs", "engines/command_line/mod.rs", "engines/command_line/words.rs"]);
}

#[test]
fn unsafe_printing_and_reaching_out_are_found() {
    let dangerous = "#![expect(unsafe_code, reason = \"none\")]\nfn f() {\n    unsafe { g() }\n}";
    assert_eq!(rules::unsafe_code(&made_up("loader/run.rs", dangerous)), ["src/loader/run.rs:3: `unsafe`"]);
    assert!(rules::unsafe_code(&made_up("loader/device/cuda.rs", dangerous)).is_empty());

    let loud = "fn f() {\n    println!(\"x\");\n    eprint! (\"y\");\n    my_println!();\n}";
    assert_eq!(
        rules::printing(&made_up("planning/mod.rs", loud)),
        ["src/planning/mod.rs:2: `println!`", "src/planning/mod.rs:3: `eprint!`"]
    );
    assert!(rules::printing(&made_up("cli/output.rs", loud)).is_empty());

    let outside =
        "use std::fs;\nuse std::{fmt, env};\nfn f() { std::thread::sleep(x) }\nuse std::time::{Duration, Instant};";
    assert_eq!(rules::reaching_out(&made_up("report/mod.rs", outside)).len(), 4);
    assert!(rules::reaching_out(&made_up("loader/mod.rs", outside)).is_empty());
    assert!(rules::reaching_out(&made_up("report/mod.rs", "use std::time::Duration; use std::fmt;")).is_empty());
    let excused = "#![expect(clippy::disallowed_methods, reason = \"none\")]";
    assert_eq!(rules::reaching_out(&made_up("report/mod.rs", excused)).len(), 1);

    assert!(rules::unplaced(&made_up("utilities/mod.rs", "")).is_some());
    assert_eq!(rules::unplaced(&made_up("main.rs", "")), None);
}
