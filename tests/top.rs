//! `shardfit top` through the real binary, as far as it needs no terminal: on recordings, with no driver needed.

#![expect(clippy::disallowed_methods, reason = "starts programs and writes the files that they read")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

mod support;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use simgpu::machine::{MIB, Machine, NvmlFailure};
use simgpu::{Card, Fault};

fn top() -> Command {
    let mut command = Command::cargo_bin("shardfit").unwrap();
    command.arg("top");
    command
}

fn recordings() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recordings");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 3);
    files
}

/// Exit code and both streams as one text, the way a person would see them.
fn contract(command: &mut Command) -> String {
    let output = command.output().unwrap();
    format!(
        "exit code: {}\n----- stdout -----\n{}----- stderr -----\n{}",
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden/top");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r#""version": "\d+\.\d+\.\d+""#, r#""version": "[VERSION]""#);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn once_prints_a_plain_snapshot() {
    for file in recordings() {
        let name = file.file_stem().unwrap().to_str().unwrap();
        for format in ["text", "json"] {
            let shown = contract(top().args(["--once", "--format", format, "--recording"]).arg(&file));
            assert!(!shown.contains('\u{1b}'), "{name}: a pipe is no terminal");
            golden(&format!("{name}.{format}"), &shown);
        }
    }
}

/// Each `null` has a sibling that says why; what is used and free and reserved is all there is; the parts of the used make it up.
#[test]
fn figures_add_up_and_the_unknown_says_why() {
    fn walk(value: &Value, place: &str) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    let place = format!("{place}.{name}");
                    assert!(
                        !field.is_null() || fields.get(&format!("{name}_reason")).is_some_and(Value::is_string),
                        "{place}"
                    );
                    walk(field, &place);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, place)),
            _ => {}
        }
    }
    let mut added_up = 0;
    for file in recordings() {
        let output = top().args(["--once", "--format", "json", "--recording"]).arg(&file).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["schema"], "shardfit/top/1");
        walk(&report, &file.display().to_string());
        for card in report["cards"].as_array().unwrap() {
            let bytes = |name: &str| card["memory"][name].as_u64();
            if let (Some(total), Some(reserved), Some(used), Some(free)) =
                (bytes("total_bytes"), bytes("reserved_bytes"), bytes("used_bytes"), bytes("free_bytes"))
            {
                assert_eq!(total, reserved + used + free, "{}: {card}", file.display());
            }
            if let (Some(own), Some(others)) = (bytes("own_bytes"), bytes("other_processes_bytes")) {
                assert_eq!(Some(own + others), bytes("used_bytes"));
                added_up += 1;
            }
        }
    }
    assert!(added_up >= 3);
}

/// The published schema names every field that is printed.
#[test]
fn the_schema_knows_every_field() {
    let schema = serde_json::to_value(shardfit::report::top::schema()).unwrap();
    let known = schema.to_string();
    for file in recordings() {
        let output = top().args(["--once", "--format", "json", "--recording"]).arg(&file).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let cards = report["cards"].as_array().unwrap().iter();
        let objects = cards.chain(report["processes"].as_array().unwrap()).chain([&report]);
        for name in objects.flat_map(|object| object.as_object().unwrap().keys()) {
            assert!(known.contains(&format!("\"{name}\":")), "{name} is not in the schema");
        }
    }
}

#[test]
fn the_live_screen_needs_a_terminal() {
    let recording = &recordings()[0];
    golden("no_terminal", &contract(top().arg("--recording").arg(recording)));
    golden("json_without_once", &contract(top().args(["--format", "json", "--recording"]).arg(recording)));
    golden("markdown", &contract(top().args(["--once", "--format", "markdown", "--recording"]).arg(recording)));
}

#[test]
fn bad_input_is_named() {
    let exit_2_with = |arguments: &[&str], words: &str| {
        let shown = contract(top().args(arguments));
        assert!(shown.starts_with("exit code: 2\n") && shown.contains(words), "{arguments:?}: {shown}");
    };
    exit_2_with(&["--once", "--recording", "nowhere.json"], "nowhere.json` cannot be read");
    exit_2_with(&["--once", "--recording", "Cargo.toml"], "`Cargo.toml` is not a recording");
    exit_2_with(&["--interval", "0"], "between `0.1s` and `60s`");
    exit_2_with(&["--interval", "often"], "`often` is not an interval");
}

/// A library that cannot be opened ends the search for it, also on a machine that has a real one.
#[test]
fn without_a_driver_the_machine_cannot_answer() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("libnvidia-ml.so.1"), "no library").unwrap();
    let shown = contract(top().arg("--once").env("LD_LIBRARY_PATH", folder.path()));
    let expected = "exit code: 3\n----- stdout -----\n----- stderr -----\nerror: no NVIDIA driver is installed here";
    assert!(shown.starts_with(expected), "{shown}");
}

/// A process that is called `shardfit` and does nothing until it is dropped.
struct Own(std::process::Child);

impl Own {
    fn start(folder: &Path) -> Self {
        // The kernel names a process after the file that was started, here a link to the shell.
        let link = folder.join("shardfit");
        std::os::unix::fs::symlink("/bin/sh", &link).unwrap();
        let mut command = std::process::Command::new(link);
        command.arg0("sh").args(["-c", "read line"]).stdin(std::process::Stdio::piped());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The live path, through the simulated driver: own shards, others, what nobody lists, and a card that may not be asked.
#[test]
fn live_memory_is_divided_by_holder() {
    let folder = tempfile::tempdir().unwrap();
    let own = Own::start(folder.path());
    let machine = Machine::new()
        .cards(3, Card::a10())
        .with_card(0, |card| card.process(own.0.id(), 8000 * MIB).process(std::process::id(), 900 * MIB))
        .with_card(1, |card| card.hidden(5000 * MIB));
    let machine = machine.install(folder.path()).unwrap();
    let mut command = Command::from_std(machine.command(env!("CARGO_BIN_EXE_shardfit")));
    let output = command.args(["top", "--once", "--format", "json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let memory = |card: usize, name: &str| report["cards"][card]["memory"][name].as_u64().unwrap();
    assert_eq!(memory(0, "own_bytes"), 8000 * MIB);
    assert_eq!(memory(0, "other_processes_bytes"), memory(0, "used_bytes") - 8000 * MIB);
    assert!(memory(0, "unlisted_bytes") < 100 * MIB);
    assert_eq!(memory(1, "own_bytes"), 0);
    assert!(memory(1, "unlisted_bytes") >= 5000 * MIB);
    assert!(memory(2, "used_bytes") < 100 * MIB);
    let processes = report["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 2);
    assert_eq!((&processes[0]["name"], &processes[0]["pid"]), (&"shardfit".into(), &own.0.id().into()));
}

#[test]
fn what_a_driver_refuses_is_said_and_the_rest_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new().cards(2, Card::a10()).faults(Fault::no_processes(NvmlFailure::NoPermission));
    let machine = machine.install(folder.path()).unwrap();
    let mut command = Command::from_std(machine.command(env!("CARGO_BIN_EXE_shardfit")));
    golden("denied.text", &contract(command.args(["top", "--once"])));
}

/// A card that the driver lists no more, and one that comes back; a driver that is gone for a while and is greeted anew.
#[test]
fn cards_vanish_and_return() {
    let mut bench = support::Bench::new(Machine::new().cards(3, Card::a10()));
    let path = bench.folder().join("watch");
    let watch = |bench: &support::Bench, rule: &str, record: &Path| {
        let mut command = bench.command();
        command.args(["top", "--interval", "0.1s", "--timeout", "60s", "--until", rule]);
        command.arg("--record").arg(record);
        command.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let ended = |child: std::process::Child| {
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let samples = |path: &Path| {
        let mut command = bench_free(&["top", "--replay", path.to_str().unwrap(), "--export", "-.jsonl"]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let wait_for = |path: &Path, words: &str| {
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !samples(path).contains(words) {
            assert!(std::time::Instant::now() < patience, "`{words}` did not come: {}", samples(path));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };

    let child = watch(&bench, "used>90%", &path);
    wait_for(&path, r#""card":"2""#);
    let uninstalled = Fault::nvml("nvmlDeviceGetCount_v2", NvmlFailure::DriverNotLoaded);
    bench.change(|machine| machine.fault(uninstalled));
    wait_for(&path, "failure");
    // It returns without its middle card, and with the last one full: that one is told by who it is, not by its place.
    bench.change(|mut machine| {
        machine.faults = vec![Fault::CardGone { card: 1 }];
        machine.with_card(2, |card| card.process(4242, 21_000 * MIB))
    });
    let (code, seen) = ended(child);
    assert_eq!((code, seen.starts_with("card 1: 20.51 GiB in use")), (Some(0), true), "{seen}");
    let last = samples(&path);
    let last: Value = serde_json::from_str(last.lines().rfind(|line| line.contains("uuid")).unwrap()).unwrap();
    assert_eq!(last["uuid"], bench.machine().cards[2].uuid.as_str());

    let path = bench.folder().join("second");
    let child = watch(&bench, "lost", &path);
    wait_for(&path, "uuid");
    bench.change(|mut machine| {
        machine.faults.push(Fault::CardGone { card: 0 });
        machine
    });
    assert_eq!(ended(child), (Some(0), "card 0: not listed any more (lost)\n".to_owned()));
    bench.assert_everything_returned();
}

/// The program where no machine is needed.
fn bench_free(arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_shardfit"));
    command.args(arguments);
    command
}
