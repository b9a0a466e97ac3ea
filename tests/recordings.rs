//! Recording, replay, conditions and pictures through the real binary, on simulated cards.

#![expect(clippy::disallowed_methods, reason = "writes and reads the files of the program under test")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

mod support;

use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::Value;
use simgpu::machine::MIB;
use simgpu::{Card, Fault, Machine};
use support::Bench;

/// Two A10 with one process of 9000 MiB on the first.
fn bench() -> Bench {
    let machine = Machine::new().cards(2, Card::a10());
    Bench::new(machine.with_card(0, |card| card.process(std::process::id(), 9000 * MIB)))
}

fn top(bench: &Bench, arguments: &[&str]) -> Command {
    let mut command = bench.shardfit();
    // The settings of whoever runs the test stay out of it.
    command.env("XDG_CONFIG_HOME", bench.folder()).arg("top").args(arguments);
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Some samples, and the alarm that ended them.
fn recorded(bench: &mut Bench) -> PathBuf {
    let path = bench.folder().join("watch");
    let arguments = ["--interval", "0.1s", "--until", "headroom<1GiB", "--timeout", "60s", "--record"];
    let mut command = bench.command();
    command.env("XDG_CONFIG_HOME", bench.folder()).arg("top").args(arguments).arg(&path);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    // The header, then samples: enough of both before the card fills.
    while std::fs::metadata(&path).map_or(0, |data| data.len()) < 700 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(child.try_wait().unwrap().is_none(), "it waits for the alarm");
    }
    bench.change(|machine| machine.with_card(1, |card| card.hidden(21_900 * MIB)));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    path
}

#[test]
fn a_recording_is_exported_with_its_alarm() {
    let mut bench = bench();
    let path = recorded(&mut bench);
    let path = path.to_str().unwrap();
    let (code, csv, _) = run(&mut top(&bench, &["--replay", path, "--export", "-.csv"]));
    assert_eq!(code, 0);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines.len() > 4 && lines[0].starts_with("unix_ms,seconds,card,uuid,total_bytes"), "{csv}");
    assert_eq!(lines.len() % 2, 1, "two cards in each sample");
    assert!(lines[1].contains(&format!(",{},", 9000 * MIB)), "{}", lines[1]);

    let (code, text, _) = run(&mut top(&bench, &["--replay", path, "--export", "-.jsonl"]));
    assert_eq!(code, 0);
    let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let marks: Vec<&Value> = objects.iter().filter(|object| object["mark"].is_string()).collect();
    assert_eq!(marks.len(), 1);
    assert_eq!(marks[0]["mark"], "alarm");
    assert!(marks[0]["text"].as_str().unwrap().starts_with("card 1: "), "{}", marks[0]);
}

/// Cut at any of many places, a recording still exports, up to its last whole sample.
#[test]
fn a_cut_recording_says_so_and_goes_on() {
    let mut bench = bench();
    let path = recorded(&mut bench);
    let whole = std::fs::read(&path).unwrap();
    let cut = bench.folder().join("cut");
    std::fs::write(&cut, &whole[..whole.len() - 3]).unwrap();
    let (code, csv, talk) = run(&mut top(&bench, &["--replay", cut.to_str().unwrap(), "--export", "-.csv"]));
    assert_eq!(code, 0);
    assert!(csv.lines().count() > 2 && talk.contains("was cut short or damaged"), "{talk}");
    std::fs::write(&cut, b"something else").unwrap();
    let (code, _, talk) = run(&mut top(&bench, &["--replay", cut.to_str().unwrap(), "--export", "-.csv"]));
    assert_eq!(code, 2);
    assert!(talk.contains("does not begin as recordings"), "{talk}");
}

#[test]
fn recordings_are_never_written_over() {
    let mut bench = bench();
    let path = recorded(&mut bench);
    let before = std::fs::read(&path).unwrap();
    let (code, _, talk) = run(&mut top(&bench, &["--until", "lost", "--record", path.to_str().unwrap()]));
    assert_eq!(code, 2);
    assert!(talk.contains("is there already"), "{talk}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn conditions_end_with_a_code_for_scripts() {
    let bench = bench();
    let (code, text, _) = run(&mut top(&bench, &["--until", "used>8GiB", "--until", "lost", "--timeout", "60s"]));
    assert_eq!(code, 0);
    assert_eq!(text, "card 0: 8.79 GiB in use (used > 8.00 GiB)\n");
    let waiting = ["--interval", "0.1s", "--until", "headroom<1GiB", "--timeout", "0.4s"];
    let (code, text, talk) = run(&mut top(&bench, &waiting));
    assert_eq!((code, text.as_str()), (1, ""));
    assert!(talk.contains("headroom < 1.00 GiB did not come"), "{talk}");
    let (code, text, _) = run(&mut top(&bench, &["--format", "json", "--until", "used>8GiB"]));
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &object["met"], &object["seen"][0]["card"]), (0, &true.into(), &"0".into()));
    for (arguments, words) in [
        (&["--until", "fire"][..], "`fire` is no alarm"),
        (&["--timeout", "1s"], "--until"),
        (&["--until", "lost", "--timeout", "soon"], "is not a span of time"),
    ] {
        let (code, _, talk) = run(&mut top(&bench, arguments));
        assert_eq!(code, 2);
        assert!(talk.contains(words), "{arguments:?}: {talk}");
    }
}

/// What the driver reports by itself is an alarm too.
#[test]
fn an_xid_is_waited_for() {
    let machine = Machine::new().cards(2, Card::a10()).fault(Fault::Xid { card: 1, code: 79, after_waits: 0 });
    let bench = Bench::new(machine);
    let (code, text, _) = run(&mut top(&bench, &["--interval", "0.1s", "--until", "xid", "--timeout", "60s"]));
    assert_eq!((code, text.as_str()), (0, "card 1: Xid 79 (xid)\n"));
}

#[test]
fn a_snapshot_as_csv_has_a_line_a_card() {
    let bench = bench();
    let (code, text, _) = run(&mut top(&bench, &["--once", "--format", "csv"]));
    assert_eq!(code, 0);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.len() == 23), "{text}");
    let used = rows[0].iter().position(|name| *name == "used_bytes").unwrap();
    assert_eq!(rows[1][used], (9000 * MIB).to_string());
    let (code, _, talk) = run(bench.shardfit().args(["plan", "--format", "csv"]));
    assert_eq!(code, 2);
    assert!(talk.contains("`top --once` alone"), "{talk}");
}

#[test]
fn pictures_are_drawn_by_their_ending() {
    let mut bench = bench();
    let path = recorded(&mut bench);
    let watch = path.to_str().unwrap();
    let picture = |name: &str| bench.folder().join(name).to_str().unwrap().to_owned();
    let (svg, png) = (picture("a.svg"), picture("a.png"));
    for (name, magic) in [(&svg, &b"<svg"[..]), (&png, b"\x89PNG")] {
        let (code, _, talk) = run(&mut top(&bench, &["--replay", watch, "--chart", name, "--dark"]));
        assert_eq!(code, 0, "{talk}");
        assert!(std::fs::read(name).unwrap().starts_with(magic));
    }
    let text = std::fs::read_to_string(&svg).unwrap();
    assert!(text.contains("card 1") && text.contains("alarm: card 1"), "{text}");
    let (code, _, talk) = run(&mut top(&bench, &["--replay", watch, "--chart", &picture("a.pdf")]));
    assert_eq!(code, 2);
    assert!(talk.contains("ends in `.svg` or `.png`"), "{talk}");

    let (chart, map) = (picture("plan.svg"), picture("map.svg"));
    let plan = ["plan", "Qwen/Qwen2.5-7B-Instruct", "--gpus", "2xA10", "--tp", "2"];
    let (code, _, talk) = run(bench.shardfit().args(plan).args(["--chart", &chart, "--heat-map", &map]));
    assert_eq!(code, 0, "{talk}");
    assert!(std::fs::read_to_string(&chart).unwrap().contains("KV cache"));
    assert!(std::fs::read_to_string(&map).unwrap().contains("sequences at once"));
}

#[test]
fn settings_come_from_the_users_configuration() {
    let bench = bench();
    let folder = bench.folder().join("shardfit");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("top.toml"), "alarms = [\"fire\"]").unwrap();
    let (code, _, talk) = run(&mut top(&bench, &["--until", "used>1GiB"]));
    assert_eq!(code, 2);
    assert!(talk.contains("top.toml`: `fire` is no alarm"), "{talk}");
}

/// A file that version 0.1 wrote, with processes in its rows and nothing about NVLink, says what it said then.
#[test]
fn recordings_of_the_first_form_are_still_replayed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/watches");
    let bench = Bench::without_driver();
    let file = folder.join("first-form.watch");
    let (code, stdout, stderr) = run(&mut top(&bench, &["--replay", file.to_str().unwrap(), "--export", "-.jsonl"]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let expected = std::fs::read_to_string(folder.join("first-form.jsonl")).unwrap();
    for (now, then) in stdout.lines().zip(expected.lines()) {
        let (mut now, then): (Value, Value) = (serde_json::from_str(now).unwrap(), serde_json::from_str(then).unwrap());
        for name in ["nvlink_sent_bytes_per_second", "nvlink_received_bytes_per_second"] {
            assert_eq!(now.as_object_mut().unwrap().shift_remove(name), Some(Value::Null));
        }
        assert_eq!(now, then);
    }
    assert_eq!((stdout.lines().count(), expected.lines().count()), (40, 40));
}

/// NVLink traffic is the difference of two counts; cards without NVLink have none, and say so.
#[test]
fn nvlink_traffic_is_read_where_there_is_nvlink() {
    let linked = Card::h100_80gb().with(|card| card.nvlink_traffic = (1 << 20, 1 << 19));
    let bench = Bench::new(Machine::new().card(linked).card(Card::a10()));
    let report = bench.report(0, &["top", "--once", "--traffic"]);
    let cards = report["cards"].as_array().unwrap();
    let sent = cards[0]["nvlink_sent_bytes_per_second"].as_f64().unwrap();
    let received = cards[0]["nvlink_received_bytes_per_second"].as_f64().unwrap();
    // 18 links at a GiB a second and half of it.
    let gib = f64::from(1 << 30);
    assert!((sent / gib - 18.0).abs() < 0.1 && (received / gib - 9.0).abs() < 0.1, "{sent} {received}");
    assert_eq!(cards[1]["nvlink_sent_bytes_per_second"], Value::Null);
    assert_eq!(cards[1]["nvlink_sent_bytes_per_second_reason"], "not supported");
    assert!(cards[0]["pcie_sent_bytes_per_second"].is_u64());

    let report = bench.report(0, &["top", "--once"]);
    assert_eq!(report["cards"][0]["nvlink_sent_bytes_per_second_reason"], "not read");

    let path = bench.folder().join("watch");
    let arguments = ["--interval", "0.1s", "--until", "lost", "--timeout", "1s", "--record", path.to_str().unwrap()];
    assert_eq!(run(&mut top(&bench, &arguments)).0, 1);
    let (code, lines, _) = run(&mut top(&bench, &["--replay", path.to_str().unwrap(), "--export", "-.jsonl"]));
    assert_eq!(code, 0);
    let rates = lines.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["nvlink_sent_bytes_per_second"].as_f64()
    });
    let rates: Vec<f64> = rates.collect();
    assert!(rates.len() > 3 && rates.iter().all(|rate| (rate / gib - 18.0).abs() < 0.5), "{rates:?}");
}
