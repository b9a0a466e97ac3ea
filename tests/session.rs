//! The screens in a real terminal, played by `tmux`: what is drawn, how it ends, and what the terminal is like afterwards. Where there is
//! no `tmux`, the tests say so and pass.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "runs programs, waits for a screen, and stops at the first surprise"
)]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use simgpu::machine::MIB;
use simgpu::{Card, Machine};

/// One terminal of 100 × 30 cells with a shell command in it.
struct Terminal {
    /// Name of a tmux server of its own.
    server: String,
}

impl Terminal {
    /// `None` where tmux is not installed.
    fn start(name: &str, arguments: &str) -> Option<Self> {
        Self::start_with(name, "", arguments)
    }

    /// The program with variables in front.
    fn start_with(name: &str, variables: &str, arguments: &str) -> Option<Self> {
        Self::play(name, &format!("{variables}'{}' {arguments}", env!("CARGO_BIN_EXE_shardfit")))
    }

    /// Any command of a shell.
    fn play(name: &str, command: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("tmux is not installed: the session of {name} was not played");
            return None;
        }
        let terminal = Self { server: format!("shardfit-test-{name}-{}", std::process::id()) };
        // The shell stays, so that what is left of the screen can be read.
        let line = format!("cd '{}'; {command}; echo ended with $?; read wait", env!("CARGO_MANIFEST_DIR"));
        let size = ["-x", "100", "-y", "30"];
        let started = terminal.tmux(&[&["new-session", "-d"][..], &size, &["sh", "-c", &line]].concat());
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        Command::new("tmux").args(["-L", &self.server, "-f", "/dev/null"]).args(arguments).output().unwrap()
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    fn keys(&self, keys: &str) {
        assert!(self.tmux(&["send-keys", keys]).status.success());
    }

    fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        assert!(self.tmux(&["resize-window", "-x", &width, "-y", &height]).status.success());
        // crossterm loses sight of a key that comes in the same moment as a new size, until the next key.
        std::thread::sleep(Duration::from_millis(300));
    }

    /// Waits for a screen that shows all of `words`.
    #[track_caller]
    fn wait_for(&self, words: &[&str]) -> String {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let screen = self.screen();
            if words.iter().all(|word| screen.contains(word)) {
                return screen;
            }
            assert!(Instant::now() < patience, "{words:?} did not appear:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

#[test]
fn top_comes_and_goes() {
    let Some(terminal) = Terminal::start("top", "top --recording tests/data/recordings/4xA10-orphan-unseen.json")
    else {
        return;
    };
    terminal.wait_for(&["A10", "4xA10-orphan-unseen"]);
    terminal.keys("?");
    terminal.wait_for(&["quit"]);
    terminal.keys("Escape");
    terminal.keys("q");
    let after = terminal.wait_for(&["ended with 0"]);
    assert!(!after.contains("A10"), "the screen before is back:\n{after}");
}

#[test]
fn top_ends_at_control_c() {
    let Some(terminal) = Terminal::start("stop", "top --recording tests/data/recordings/2xL4-one-lost.json") else {
        return;
    };
    terminal.wait_for(&["L4"]);
    terminal.keys("C-c");
    terminal.wait_for(&["ended with 0"]);
}

/// Four simulated cards, each with a process of this test.
fn machine(folder: &std::path::Path) -> simgpu::Installed {
    let own = std::process::id();
    let card = Card::a10().process(own, 9000 * MIB).process(own.saturating_add(1), 2000 * MIB);
    Machine::new().cards(4, card).install(folder).unwrap()
}

/// `NAME='value'` for a shell, so that a program sees the machine.
fn environment(machine: &simgpu::Installed) -> String {
    let quoted = |value: &std::ffi::OsStr| value.to_string_lossy().replace('\'', "");
    machine.variables().iter().map(|(name, value)| format!("{name}='{}' ", quoted(value))).collect()
}

/// Every view, a filter, another size, a recording that ends, and the same as a replay: all with keys.
#[test]
fn a_watch_is_driven_by_keys_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path());
    let home = folder.path().display();
    let variables = environment(&machine) + &format!("XDG_CONFIG_HOME='{home}' ");
    let recording = folder.path().join("watch");
    let arguments = format!("top --interval 0.1s --record '{}'", recording.display());
    let Some(terminal) = Terminal::start_with("watch", &variables, &arguments) else { return };
    terminal.wait_for(&["4 cards", "A10", " rec "]);
    for (key, words) in [
        ("2", &["card", "uuid", "mean used"][..]),
        ("3", &["processes 8"]),
        ("4", &["timeline", "marks", "ago"]),
        ("5", &["no plan is laid over these cards"]),
        ("1", &["shardfit top   4 cards"]),
        ("m", &["marked"]),
    ] {
        terminal.keys(key);
        terminal.wait_for(words);
    }
    terminal.keys("/");
    terminal.keys("nobody");
    terminal.wait_for(&["/nobody_", "none holds `nobody`"]);
    terminal.keys("Escape");
    terminal.wait_for(&["processes 8"]);
    terminal.resize(80, 24);
    terminal.wait_for(&["shardfit top"]);
    terminal.resize(30, 6);
    terminal.wait_for(&["is too small"]);
    terminal.resize(100, 30);
    terminal.wait_for(&["processes 8"]);
    terminal.keys("r");
    terminal.wait_for(&["recorded into"]);
    terminal.keys("q");
    terminal.wait_for(&["ended with 0"]);
    drop(terminal);

    let arguments = format!("top --replay '{}' --speed 0.25", recording.display());
    let Some(terminal) = Terminal::start_with("replay", &variables, &arguments) else { return };
    terminal.wait_for(&["replay", "at 0.25x", "A10"]);
    terminal.keys("p");
    terminal.wait_for(&[" held "]);
    terminal.keys("4");
    terminal.keys("]");
    terminal.wait_for(&["1 marks", "marked by hand"]);
    terminal.keys("}");
    terminal.keys("+");
    terminal.wait_for(&["at 0.5x"]);
    terminal.keys("q");
    terminal.wait_for(&["ended with 0"]);
}

/// A signal ends the screen, and the terminal is as it was: what was there before is back, and what is typed is shown.
#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path());
    let Some(terminal) = Terminal::start_with("signal", &environment(&machine), "top") else { return };
    terminal.wait_for(&["4 cards"]);
    let pane = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
    let shell = String::from_utf8_lossy(&pane.stdout).trim().to_owned();
    let killed = Command::new("pkill").args(["-TERM", "-P", &shell]).status();
    if killed.is_err() {
        return;
    }
    let after = terminal.wait_for(&["ended with 143"]);
    assert!(!after.contains("4 cards"), "{after}");
    terminal.keys("typed");
    terminal.wait_for(&["typed"]);
}

/// A driver that takes long to answer delays the figures and nothing else: keys work while it is asked.
#[test]
fn a_slow_driver_freezes_no_screen() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Machine::new().cards(2, Card::a10()).fault(simgpu::Fault::SlowNvml { millis: 4000 });
    let machine = slow.install(folder.path()).unwrap();
    let Some(terminal) = Terminal::start_with("slow", &environment(&machine), "top") else { return };
    terminal.wait_for(&["waiting for the driver to answer"]);
    terminal.keys("?");
    terminal.wait_for(&["keys and signs"]);
    terminal.keys("Escape");
    terminal.keys("4");
    terminal.wait_for(&["timeline"]);
    terminal.keys("q");
    terminal.wait_for(&["ended with 0"]);
}

#[test]
fn a_command_is_followed_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path());
    let log = "examples/oom/case1-72b-on-one-card.log";
    let script = format!("while read -r line; do echo \\\"\\$line\\\"; sleep 0.1; done < {log}; exit 3");
    let command = format!("run --tui --interval 0.1s -- sh -c \"{script}\"");
    let state = format!("XDG_STATE_HOME='{}' ", folder.path().display());
    let variables = environment(&machine) + &state;
    let Some(terminal) = Terminal::start_with("run", &variables, &command) else { return };
    terminal.wait_for(&["shardfit run", "loading weights", "A10", "command 0.00", "Starting to load model"]);
    terminal.keys("q");
    terminal.wait_for(&["end the command? y: send SIGTERM"]);
    terminal.keys("n");
    let ended = terminal.wait_for(&["how it ended", "exit code 3", "single_gpu_placement", "repair", "any key leave"]);
    assert!(ended.contains("ended  "), "{ended}");
    // It stays, whatever the size, until a key.
    terminal.resize(80, 24);
    terminal.wait_for(&["how it ended", "more rows below"]);
    terminal.keys("PageDown");
    terminal.keys("PageDown");
    terminal.resize(100, 30);
    terminal.wait_for(&["any key leave"]);
    terminal.keys("x");
    let after = terminal.wait_for(&["top --replay", "ended with 3"]);
    assert!(!after.contains("how it ended"), "{after}");
    terminal.keys("typed");
    terminal.wait_for(&["typed"]);
}

/// What was ended by the user is not explained to them: the screen goes at once, with the command's own code.
#[test]
fn a_command_is_ended_from_its_screen() {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path());
    let variables = environment(&machine) + &format!("XDG_STATE_HOME='{}' ", folder.path().display());
    let script = "trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.1; done";
    let command = format!("run --tui --ascii -- sh -c \"{script}\"");
    let Some(terminal) = Terminal::start_with("end", &variables, &command) else { return };
    let shown = terminal.wait_for(&["shardfit run", "ready", "q end the command"]);
    assert!(shown.is_ascii(), "{shown}");
    terminal.keys("q");
    terminal.wait_for(&["end the command? y: send SIGTERM"]);
    terminal.keys("y");
    terminal.wait_for(&["told", "ended with 7"]);
    drop(terminal);

    let command = "run --tui -- sh -c 'echo ready; sleep 60'";
    let Some(terminal) = Terminal::start_with("interrupt", &variables, command) else { return };
    terminal.wait_for(&["ready"]);
    terminal.keys("C-c");
    terminal.wait_for(&["was ended by signal 2", "ended with 130"]);
    drop(terminal);

    let command = "run --tui -- sh -c \"trap '' TERM; echo deaf; while :; do sleep 0.1; done\"";
    let Some(terminal) = Terminal::start_with("deaf", &variables, command) else { return };
    terminal.wait_for(&["deaf"]);
    terminal.keys("q");
    terminal.keys("y");
    terminal.wait_for(&["told to end"]);
    terminal.keys("q");
    terminal.wait_for(&["y: kill it"]);
    terminal.keys("y");
    terminal.wait_for(&["was ended by signal 9", "ended with 137"]);
}

/// A signal from outside ends the command or the load, its screen goes, and the terminal is as it was.
#[test]
fn a_signal_ends_work_and_screen() {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path());
    let variables = environment(&machine) + &format!("XDG_STATE_HOME='{}' ", folder.path().display());
    let hold = "load examples/models/tiny-qwen2 --tp 2 --device cuda --tui --hold 600";
    for (name, command, words, ending) in [
        ("term-run", "run --tui -- sh -c 'echo ready; sleep 60'", "ready", "ended with 143"),
        ("term-load", hold, "let go of the cards", "ended with 0"),
    ] {
        let Some(terminal) = Terminal::start_with(name, &variables, command) else { return };
        terminal.wait_for(&["shardfit", words]);
        let pane = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let shell = String::from_utf8_lossy(&pane.stdout).trim().to_owned();
        if Command::new("pkill").args(["-TERM", "-P", &shell]).status().is_err() {
            return;
        }
        let after = terminal.wait_for(&[ending]);
        assert!(!after.contains("any key leave"), "{after}");
        terminal.keys("typed");
        terminal.wait_for(&["typed"]);
    }
}

/// Nobody at the keys: the screen leaves when the command has ended.
#[test]
fn an_unattended_screen_leaves_by_itself() {
    let command = "run --tui -- sh -c 'echo said; exit 4' < /dev/null";
    let Some(terminal) = Terminal::start("unattended", command) else { return };
    terminal.wait_for(&["ended with exit code 4", "ended with 4"]);
}

/// Run by the test below in a terminal of its own.
#[test]
#[ignore = "paints on the terminal and fails on purpose"]
fn fails_on_the_screen() {
    let mut terminal = shardfit::tui::Terminal::open().unwrap();
    terminal.draw(|frame| frame.render_widget("painted before the fault", frame.area())).unwrap();
    panic!("a fault of the program");
}

#[test]
fn a_panic_leaves_the_terminal_as_it_was() {
    let program = std::env::current_exe().unwrap();
    let line = format!("'{}' --ignored --exact fails_on_the_screen --nocapture", program.display());
    let Some(terminal) = Terminal::play("panic", &line) else { return };
    let after = terminal.wait_for(&["a fault of the program", "ended with 101"]);
    assert!(!after.contains("painted before"), "{after}");
    terminal.keys("typed");
    terminal.wait_for(&["typed"]);
}

#[test]
fn a_load_shows_its_verdict_and_then_reports() {
    let arguments = "load examples/models/tiny-qwen2 --tp 2 --device host --gpus 2xA10 --tui";
    let Some(terminal) = Terminal::start("load", arguments) else { return };
    terminal.wait_for(&[
        "shardfit load",
        "host memory",
        "weights",
        "how it ended",
        "confirmed on host memory",
        "any key",
    ]);
    terminal.keys("Enter");
    let after = terminal.wait_for(&["confirmed on host memory", "rank  card", "ended with 0"]);
    assert!(!after.contains("how it ended"), "{after}");
}

#[test]
fn a_load_is_held_and_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path());
    let arguments = "load examples/models/tiny-qwen2 --tp 2 --device cuda --tui --hold until-key";
    let Some(terminal) = Terminal::start_with("hold", &environment(&machine), arguments) else { return };
    terminal.wait_for(&["shardfit load", "held", "A10", "let go of the cards", "all bytes arrived"]);
    terminal.resize(80, 24);
    terminal.wait_for(&["let go of the cards"]);
    terminal.keys("q");
    terminal.wait_for(&["how it ended", "every shard is on its card"]);
    terminal.keys("q");
    terminal.wait_for(&["ended with 0"]);
}

/// A load that is told to stop frees what it holds and ends as one that did not prove anything.
#[test]
fn a_load_is_stopped_from_its_screen() {
    let arguments = "load Qwen/Qwen2.5-7B-Instruct --synthetic --tp 2 --device host --gpus 2xA100-80GB --max-model-len 1024 --verify full --tui";
    let Some(terminal) = Terminal::start("stop-load", arguments) else { return };
    let shown = terminal.wait_for(&["shardfit load"]);
    if shown.contains("ended with 3") {
        // The machine has too little memory for the rehearsal.
        return;
    }
    terminal.keys("q");
    terminal.wait_for(&["stop the load?"]);
    terminal.keys("y");
    terminal.wait_for(&["the load was cancelled", "ended with 3"]);
}
