//! `--hold`: keeps what was loaded on the cards, for a look at them.
#![expect(clippy::disallowed_methods, reason = "waits for a time or a key")]

use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyEventKind};

/// How long everything stays on the cards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hold {
    /// So long.
    For(Duration),
    /// Until a key is pressed; without a terminal, until a line or the end of stdin.
    UntilKey,
}

impl FromStr for Hold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "until-key" {
            return Ok(Self::UntilKey);
        }
        let seconds = text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok();
        seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(Self::For)
            .ok_or_else(|| format!("`{text}` is no time: write seconds such as `30`, or `until-key`"))
    }
}

/// Time between two looks at the signal and the keyboard.
const LOOK: Duration = Duration::from_millis(50);

impl Hold {
    /// Waits; `stop` ends it early. `screen` means that somebody else shows what is going on and reads the keys.
    pub(super) fn wait(self, stop: &AtomicBool, screen: bool) {
        let keys = self == Self::UntilKey && !screen;
        if !screen {
            let until = match self {
                Self::For(time) => format!("for {:.0} s", time.as_secs_f64()),
                Self::UntilKey if io::stdin().is_terminal() => "until a key is pressed".to_owned(),
                Self::UntilKey => "until a line on stdin".to_owned(),
            };
            let _ = writeln!(io::stderr(), "everything is on the cards; held {until} (Ctrl-C ends it)");
        }
        let key = if keys { Key::listen() } else { Key::Nobody };
        let began = Instant::now();
        let over = || match self {
            Self::For(time) => began.elapsed() >= time,
            Self::UntilKey => key.pressed(),
        };
        while !stop.load(Ordering::Relaxed) && !over() {
            sleep(LOOK);
        }
    }
}

/// Where a key may come from.
enum Key {
    Nobody,
    /// A terminal in raw mode, given back on drop.
    Terminal,
    /// A thread waits for a line: a read cannot be interrupted, and nobody waits for the thread.
    Line(Arc<AtomicBool>),
}

impl Key {
    fn listen() -> Self {
        if io::stdin().is_terminal() && crossterm::terminal::enable_raw_mode().is_ok() {
            return Self::Terminal;
        }
        let read = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&read);
        std::thread::spawn(move || {
            let _ = io::stdin().read_line(&mut String::new());
            told.store(true, Ordering::Relaxed);
        });
        Self::Line(read)
    }

    fn pressed(&self) -> bool {
        match self {
            Self::Nobody => false,
            Self::Terminal => {
                let ready = event::poll(Duration::ZERO).unwrap_or(false);
                ready && matches!(event::read(), Ok(Event::Key(key)) if key.kind != KeyEventKind::Release)
            }
            Self::Line(read) => read.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        if matches!(self, Self::Terminal) {
            let _ = crossterm::terminal::disable_raw_mode();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_keys() {
        assert_eq!("30".parse(), Ok(Hold::For(Duration::from_secs(30))));
        assert_eq!("0.5s".parse(), Ok(Hold::For(Duration::from_millis(500))));
        assert_eq!("until-key".parse(), Ok(Hold::UntilKey));
        for text in ["", "-1", "nan", "forever", "1e300"] {
            assert!(text.parse::<Hold>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_signal_ends_it() {
        Hold::For(Duration::from_secs(3600)).wait(&AtomicBool::new(true), true);
    }
}
