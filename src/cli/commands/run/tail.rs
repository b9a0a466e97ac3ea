//! The lines of an output as they end, for the screen; the runner keeps its own for the diagnosis.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that ended and were not looked at yet, and of each stream the one that has not ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    ended: VecDeque<String>,
    begun: [String; 2],
}

impl Tail {
    /// Lines kept for a screen that looks ten times a second.
    const LINES: usize = 2000;
    /// Longest line kept; progress bars never end theirs.
    const COLUMNS: usize = 1000;

    /// The two streams of a command.
    pub fn streams(&self) -> (Box<dyn Write + Send>, Box<dyn Write + Send>) {
        let stream = |place| Box::new(Stream { tail: self.clone(), place, begun: Vec::new(), drawn: Vec::new() });
        (stream(0), stream(1))
    }

    /// The lines that ended since the last call.
    pub fn fresh(&self) -> Vec<String> {
        self.lock().ended.drain(..).collect()
    }

    /// The lines that have not ended: progress bars that draw over themselves, prompts.
    pub fn begun(&self) -> Vec<String> {
        self.lock().begun.iter().filter(|line| !line.trim().is_empty()).cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the two streams.
struct Stream {
    tail: Tail,
    place: usize,
    /// Since the last line end or carriage return.
    begun: Vec<u8>,
    /// What stood in the line before the carriage return, and still does until something is drawn over it.
    drawn: Vec<u8>,
}

impl Stream {
    fn visible(&self) -> String {
        let bytes = if self.begun.is_empty() { &self.drawn } else { &self.begun };
        String::from_utf8_lossy(bytes).chars().take(Tail::COLUMNS).collect()
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = self.visible();
                    let mut lines = self.tail.lock();
                    lines.ended.push_back(line);
                    if lines.ended.len() > Tail::LINES {
                        lines.ended.pop_front();
                    }
                    drop(lines);
                    self.begun.clear();
                    self.drawn.clear();
                }
                b'\r' if !self.begun.is_empty() => self.drawn = std::mem::take(&mut self.begun),
                b'\r' => {}
                byte if self.begun.len() < Tail::COLUMNS * 4 => self.begun.push(*byte),
                _ => {}
            }
        }
        let begun = self.visible();
        self.tail.lock().begun[self.place] = begun;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_and_progress_bars_replace_theirs() {
        let tail = Tail::default();
        let (mut output, mut errors) = tail.streams();
        output.write_all(b"one\n10 %\r20 %\r30 %\nhalf").unwrap();
        errors.write_all(b"windows\r\n50 %\r60 %\r").unwrap();
        assert_eq!(tail.fresh(), ["one", "30 %", "windows"]);
        assert_eq!(tail.begun(), ["half", "60 %"]);
        output.write_all(b" and half\n").unwrap();
        assert_eq!((tail.fresh(), tail.begun()), (vec!["half and half".to_owned()], vec!["60 %".to_owned()]));
    }

    #[test]
    fn memory_is_bounded() {
        let tail = Tail::default();
        let (mut output, _) = tail.streams();
        for n in 0..5000 {
            output.write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        output.write_all(&vec![b'x'; 1 << 20]).unwrap();
        output.write_all(b"\n").unwrap();
        let lines = tail.fresh();
        assert_eq!((lines.len(), lines[Tail::LINES - 2].as_str()), (Tail::LINES, "4999"));
        assert_eq!(lines[Tail::LINES - 1].len(), Tail::COLUMNS);
    }
}
