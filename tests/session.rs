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

/// One terminal of 100 × 30 cells with a shell command in it.
struct Terminal {
    /// Name of a tmux server of its own.
    server: String,
}

impl Terminal {
    /// `None` where tmux is not installed.
    fn start(name: &str, arguments: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("tmux is not installed: the session of {name} was not played");
            return None;
        }
        let terminal = Self { server: format!("shardfit-test-{name}-{}", std::process::id()) };
        let program = env!("CARGO_BIN_EXE_shardfit");
        // The shell stays, so that what is left of the screen can be read.
        let line =
            format!("cd '{}'; '{program}' {arguments}; echo ended with $?; read wait", env!("CARGO_MANIFEST_DIR"));
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

#[test]
fn a_load_draws_and_then_reports() {
    let arguments = "load examples/models/tiny-qwen2 --tp 2 --device host --gpus 2xA10 --tui";
    let Some(terminal) = Terminal::start("load", arguments) else { return };
    terminal.wait_for(&["confirmed on host memory", "ended with 0"]);
}
