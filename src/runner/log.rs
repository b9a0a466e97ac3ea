//! What is remembered of a command's output: its beginning, where engines state their configuration, and its end, where they fail.

use std::collections::VecDeque;

/// Bytes kept of the beginning.
const HEAD: usize = 4 << 20;
/// Bytes kept of the end.
const TAIL: usize = 8 << 20;

/// Output in bounded memory. Only whole lines are left out, and a line says how many.
#[derive(Debug, Clone)]
pub struct KeptLog {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_limit: usize,
    tail_limit: usize,
    /// Whether the head has taken its last line.
    full: bool,
    left_out: u64,
    lines_left_out: u64,
    total: u64,
}

impl Default for KeptLog {
    fn default() -> Self {
        Self::with_limits(HEAD, TAIL)
    }
}

impl KeptLog {
    /// A log that keeps that many bytes of beginning and end.
    #[must_use]
    pub fn with_limits(head: usize, tail: usize) -> Self {
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_limit: head,
            tail_limit: tail,
            full: false,
            left_out: 0,
            lines_left_out: 0,
            total: 0,
        }
    }

    /// Adds output as it came.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        if !self.full {
            let room = self.head_limit.saturating_sub(self.head.len());
            if bytes.len() <= room {
                self.head.extend_from_slice(bytes);
                return;
            }
            // The head ends with a line; a line that is longer than the head is cut.
            let taken = bytes[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            self.head.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if taken == 0 {
                let whole = self.head.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                self.tail.extend(self.head.drain(whole..));
            }
            self.full = true;
        }
        self.tail.extend(bytes);
        let excess = self.tail.len().saturating_sub(self.tail_limit);
        if excess > 0 {
            let cut = self.tail.range(excess..).position(|byte| *byte == b'\n').map_or(excess, |at| excess + at + 1);
            self.lines_left_out += self.tail.range(..cut).filter(|byte| **byte == b'\n').count() as u64;
            self.left_out += cut as u64;
            self.tail.drain(..cut);
        }
    }

    /// Beginning and end, a line between them where something was left out.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let mut text = self.head.clone();
        if self.left_out > 0 {
            let what = format!("[{} lines, {} bytes left out]\n", self.lines_left_out, self.left_out);
            text.extend_from_slice(what.as_bytes());
        }
        text.extend(&self.tail);
        text
    }

    /// Whether a line of [`Self::text`] has the number that it had in the output.
    #[must_use]
    pub fn keeps_number(&self, line: u64) -> bool {
        self.left_out == 0 || line <= self.head.iter().filter(|byte| **byte == b'\n').count() as u64
    }

    /// The last lines, without their ends, oldest first.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let text = if self.tail.is_empty() { self.head.clone() } else { self.tail.iter().copied().collect() };
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
    }

    /// Bytes that came.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that are not kept.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_logs_are_kept_whole() {
        let mut log = KeptLog::default();
        log.push(b"one\ntwo\n");
        log.push(b"three");
        assert_eq!(log.text(), b"one\ntwo\nthree");
        assert_eq!((log.last_lines(2), log.left_out()), (vec!["two".to_owned(), "three".to_owned()], 0));
        assert_eq!(KeptLog::default().last_lines(5), Vec::<String>::new());
    }

    #[test]
    fn long_logs_lose_their_middle_line_by_line() {
        let mut log = KeptLog::with_limits(10, 10);
        for line in 0..9 {
            log.push(format!("line{line}\n").as_bytes());
        }
        assert_eq!(String::from_utf8(log.text()).unwrap(), "line0\n[7 lines, 42 bytes left out]\nline8\n");
    }

    proptest! {
        /// However the output is cut into pieces, memory stays bounded and nothing but the middle is lost.
        #[test]
        fn memory_is_bounded(pieces in prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 0..40), 0..40)) {
            let mut log = KeptLog::with_limits(32, 48);
            let whole: Vec<u8> = pieces.concat();
            for piece in &pieces {
                log.push(piece);
                prop_assert!(log.head.len() <= 32 && log.tail.len() <= 48);
            }
            prop_assert_eq!(log.total(), whole.len() as u64);
            prop_assert_eq!(log.left_out() + (log.head.len() + log.tail.len()) as u64, log.total());
            prop_assert!(whole.starts_with(&log.head));
            prop_assert!(whole.ends_with(&log.tail.iter().copied().collect::<Vec<u8>>()));
        }
    }
}
