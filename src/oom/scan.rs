//! One pass over text of any size: the automaton finds lines that could matter, the expressions read those, memory stays bounded.

use std::collections::{BTreeMap, VecDeque};

use memchr::{memchr, memrchr};

use super::clean;
use super::event::{Event, Events, Place};
use super::message::{Prepared, Texts, reading};
use super::pattern::Patterns;
use crate::profiles::oom::Role;

/// Bytes collected before they are looked through.
const CHUNK: usize = 1 << 20;
/// Bytes that must follow a line before it is read, so that a wrapped message is whole.
const AHEAD: usize = 16 << 10;
/// Longest part of a line that is read.
pub(super) const LONGEST: usize = 8 << 10;
/// Events kept of each pattern: so many of the first, and as many of the last.
const KEPT: usize = 24;
/// Messages of one pattern that are read as they come. Of a message that comes more often the last ones are read at the end of the file,
/// so that a log of nothing but failures is no slower than others.
const READ: u32 = 200;
/// Lines that may hold a pattern's text and not match before the lines after them are no longer looked at: a server writes such lines by
/// the million, and joining lines costs most.
const PATIENCE: u32 = 2000;
/// Most characters of a quotation.
const QUOTED: usize = 600;

/// Reads text and collects [`Events`].
pub struct Scanner<'p> {
    patterns: &'p Patterns,
    buffer: Vec<u8>,
    file: usize,
    /// Number of the line at the start of the buffer, less one.
    line: u64,
    last_text: u64,
    /// Messages read so far, by pattern.
    read: BTreeMap<usize, u32>,
    /// Lines that held a pattern's text and did not match, by pattern.
    missed: BTreeMap<usize, u32>,
    /// The latest lines of patterns that come too often to read each: line number and raw text.
    unread: BTreeMap<usize, VecDeque<(u64, Vec<u8>)>>,
    first: BTreeMap<usize, Vec<Event>>,
    last: BTreeMap<usize, VecDeque<Event>>,
    dropped: u64,
    lines: Vec<u64>,
    last_texts: Vec<u64>,
    /// The latest events with all their text, to recognise their wrapped lines.
    recent: VecDeque<(Place, String)>,
}

impl<'p> Scanner<'p> {
    /// A scanner at the start of its first file.
    #[must_use]
    pub fn new(patterns: &'p Patterns) -> Self {
        Self {
            patterns,
            buffer: Vec::new(),
            file: 0,
            line: 0,
            last_text: 0,
            read: BTreeMap::new(),
            missed: BTreeMap::new(),
            unread: BTreeMap::new(),
            first: BTreeMap::new(),
            last: BTreeMap::new(),
            dropped: 0,
            lines: Vec::new(),
            last_texts: Vec::new(),
            recent: VecDeque::new(),
        }
    }

    /// Takes in further text of the present file.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(CHUNK) {
            self.buffer.extend_from_slice(piece);
            if self.buffer.len() >= CHUNK + AHEAD {
                self.read(false);
            }
        }
    }

    /// Ends the present file; what follows belongs to the next one.
    pub fn end_file(&mut self) {
        self.read(true);
        for (number, raw) in std::mem::take(&mut self.unread).into_values().flatten() {
            let candidates = self.patterns.candidates(&raw);
            self.message(&raw, &[], number, &candidates);
        }
        self.read.clear();
        self.missed.clear();
        self.lines.push(self.line);
        self.last_texts.push(self.last_text);
        (self.line, self.last_text) = (0, 0);
        self.file += 1;
        self.recent.clear();
    }

    /// All events, in the order of the text.
    #[must_use]
    pub fn finish(mut self) -> Events {
        if !self.buffer.is_empty() || self.line > 0 || self.lines.is_empty() {
            self.end_file();
        }
        let mut list: Vec<Event> =
            self.first.into_values().flatten().chain(self.last.into_values().flatten()).collect();
        list.sort_by(|a, b| a.place.cmp(&b.place));
        Events { list, dropped: self.dropped, lines: self.lines, last_text: self.last_texts }
    }

    /// Reads the lines that begin in the buffer and have enough text after them.
    fn read(&mut self, is_end: bool) {
        let buffer = std::mem::take(&mut self.buffer);
        let limit = if is_end { buffer.len() } else { whole_lines(&buffer) };
        let (mut counted, mut at) = (0, 0);
        for hit in self.patterns.needles().ends(&buffer[..limit]) {
            if hit < at {
                continue;
            }
            let start = memrchr(b'\n', &buffer[..hit]).map_or(0, |i| i + 1);
            let end = memchr(b'\n', &buffer[hit..]).map_or(buffer.len(), |i| hit + i + 1);
            self.line += newlines(&buffer[counted..start]);
            counted = start;
            // Of a line without end, the part around the hit.
            let start = start.max(hit.saturating_sub(LONGEST / 4));
            let line = &buffer[start..end.min(start + LONGEST)];
            let candidates = self.patterns.candidates(line);
            match candidates.iter().find(|p| self.read.get(p).is_some_and(|n| *n >= READ)) {
                Some(often) => {
                    let unread = self.unread.entry(*often).or_default();
                    unread.push_back((self.line + 1, line.to_vec()));
                    if unread.len() > KEPT {
                        unread.pop_front();
                        self.dropped += 1;
                    }
                }
                None => self.message(line, &buffer[end..], self.line + 1, &candidates),
            }
            at = end;
        }
        if limit > 0 {
            self.line += newlines(&buffer[counted..limit]);
            self.note_text(&buffer[..limit]);
        }
        if is_end && limit > 0 && buffer[limit - 1] != b'\n' {
            self.line += 1;
        }
        self.buffer = buffer;
        self.buffer.drain(..limit);
    }

    /// Remembers the last line that holds text; `self.line` counts the lines of what was read.
    fn note_text(&mut self, read: &[u8]) {
        let Some(last) = read.iter().rposition(|b| !b.is_ascii_whitespace()) else { return };
        self.last_text = self.line - newlines(&read[last..]) + 1;
    }

    /// Reads one line that holds a literal text of these patterns, with the lines that continue it.
    fn message(&mut self, raw: &[u8], rest: &[u8], number: u64, candidates: &[usize]) {
        if candidates.iter().all(|pattern| self.is_hopeless(*pattern, raw)) {
            return;
        }
        let line = clean::line(raw);
        // A logger's entry that holds a traceback in one string.
        if line.contains('\n') {
            let mut after = line.as_str();
            while let Some((first, others)) = after.split_once('\n').or((!after.is_empty()).then_some((after, ""))) {
                let candidates = self.patterns.candidates(first.as_bytes());
                self.words(first, others.as_bytes(), number, &candidates);
                after = others;
            }
            return;
        }
        if !self.words(&line, rest, number, candidates) {
            // Words outside of what was taken for the entry's text.
            let plain = clean::plain(raw);
            if plain != line {
                self.words(&plain, rest, number, candidates);
            }
        }
    }

    /// Whether a pattern that thousands of lines only resembled does not match this one as it stands either. Where the line must be
    /// cleaned first (its beginning, colours, JSON), that cannot be told.
    fn is_hopeless(&self, pattern: usize, raw: &[u8]) -> bool {
        let regex = &self.patterns.get(pattern).regex;
        self.missed.get(&pattern).is_some_and(|missed| *missed >= PATIENCE)
            && !regex.as_str().contains('^')
            && !raw.iter().any(|byte| matches!(byte, b'{' | 0x1b))
            && !regex.is_match(&String::from_utf8_lossy(raw))
    }

    /// Reads one line; whether a pattern matched.
    fn words(&mut self, line: &str, rest: &[u8], number: u64, candidates: &[usize]) -> bool {
        let origin = clean::origin(line);
        let bare = clean::without_prefix(line).trim_start();
        let mut texts = Prepared::default();
        let mut found: Vec<(Event, String, usize)> = Vec::new();
        for &index in candidates {
            let compiled = self.patterns.get(index);
            let is_patient = self.missed.get(&index).is_none_or(|missed| *missed < PATIENCE);
            let may_wrap = is_patient
                && matches!(compiled.pattern.role, Role::Failure | Role::Suspicion | Role::Config | Role::Gauge);
            let as_written = texts.of(line, may_wrap, origin, rest);
            let mut read = reading(compiled, as_written, line.len());
            let mut last = read.as_ref().map(|read| as_written.lines_to(read.end));
            // An expression that asks for the beginning of the line means that of its words.
            if read.is_none() && bare.len() < line.len() {
                let texts = if may_wrap { Texts::joined(bare, origin, rest) } else { Texts::single(bare) };
                read = reading(compiled, &texts, bare.len());
                last = read.as_ref().map(|read| texts.lines_to(read.end));
            }
            let (Some(read), Some(last)) = (read, last) else {
                let missed = self.missed.entry(index).or_default();
                *missed = missed.saturating_add(1);
                continue;
            };
            let place = Place { file: self.file, line: number, last_line: number + last };
            let event = Event {
                pattern: compiled.pattern.id.clone(),
                engine: compiled.pattern.engine.clone(),
                role: compiled.pattern.role,
                signal: compiled.pattern.signal,
                stage: compiled.pattern.stage,
                fields: read.fields,
                place,
                text: shortened(&read.quote),
                rank: origin.rank,
                pid: origin.pid,
                speaker: clean::speaker(line),
                time: clean::time(line),
            };
            found.push((event, read.text, index));
        }
        let any = !found.is_empty();
        // Of two readings of one text, the one that covers more of it.
        for (i, (event, text, index)) in found.iter().enumerate() {
            let covered = found.iter().enumerate().any(|(j, (_, other, _))| {
                j != i && other.contains(text.as_str()) && (other.len() > text.len() || j < i)
            });
            let wrapped = self.recent.iter().any(|(place, other)| {
                place.last_line >= number && place.line < number && squeezed(other).contains(&squeezed(text))
            });
            if !covered && !wrapped {
                self.keep(*index, event.clone(), text.clone());
            }
        }
        any
    }

    fn keep(&mut self, pattern: usize, event: Event, text: String) {
        let read = self.read.entry(pattern).or_default();
        *read = read.saturating_add(1);
        self.recent.push_back((event.place.clone(), text));
        if self.recent.len() > 8 {
            self.recent.pop_front();
        }
        let first = self.first.entry(pattern).or_default();
        if first.len() < KEPT {
            first.push(event);
            return;
        }
        let last = self.last.entry(pattern).or_default();
        last.push_back(event);
        if last.len() > KEPT {
            last.pop_front();
            self.dropped += 1;
        }
    }
}

/// The part of a buffer whose lines have enough text after them; all but the tail where one line has no end.
fn whole_lines(buffer: &[u8]) -> usize {
    let limit = buffer.len().saturating_sub(AHEAD);
    memrchr(b'\n', &buffer[..limit]).map_or(limit, |i| i + 1)
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oom::Value;

    fn scan(text: &[u8]) -> Events {
        let patterns = Patterns::built_in().unwrap();
        let mut scanner = Scanner::new(&patterns);
        scanner.push(text);
        scanner.finish()
    }

    const WRAPPED_MESSAGE: &str = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 30.00 MiB. GPU 0 has a total capacity of 79.32 GiB of which 6.88 MiB is free. Process 15 has 9.89 GiB memory in use. Includ\ning non-PyTorch memory, this process has 10.58 GiB memory in use. Of the allocated memory 9.56 GiB is allocated by PyTorch, and 534.22 MiB is reserved by PyTorch\n but unallocated.\n";

    #[test]
    fn wrapped_messages_are_read_whole() {
        let events = scan(WRAPPED_MESSAGE.as_bytes());
        assert_eq!(events.list.len(), 1);
        let event = &events.list[0];
        assert_eq!(event.number("this_process_gib"), Some(10.58));
        assert_eq!(event.number("reserved_unallocated_mib"), Some(534.22));
        assert_eq!(event.fields["processes_gib"], Value::Numbers(vec![9.89]));
        assert_eq!((event.place.line, event.place.last_line), (1, 3));
    }

    #[test]
    fn pieces_and_line_ends_do_not_matter() {
        let text = format!("one\r\ntwo\r\n{}three", WRAPPED_MESSAGE.replace('\n', "\r\n"));
        let whole = scan(text.as_bytes());
        assert_eq!(whole.list[0].place.line, 3);
        assert_eq!((whole.lines[0], whole.last_text[0]), (6, 6));
        let patterns = Patterns::built_in().unwrap();
        let mut scanner = Scanner::new(&patterns);
        text.as_bytes().chunks(7).for_each(|piece| scanner.push(piece));
        assert_eq!(scanner.finish(), whole);
    }

    #[test]
    fn an_entry_in_json_is_read_line_by_line() {
        let traceback = format!("Traceback (most recent call last):\n{}", WRAPPED_MESSAGE.trim_end());
        let entry = serde_json::json!({"level": "ERROR", "message": "worker died", "exc_info": traceback});
        let events = scan(format!("first\n{entry}\n").as_bytes());
        let event = events.list.iter().find(|e| e.number("requested_mib").is_some()).unwrap();
        assert_eq!((event.place.line, event.number("this_process_gib")), (2, Some(10.58)));
    }

    #[test]
    fn interleaved_ranks_do_not_mix() {
        let text = "(W rank=1 pid=5) ERROR 03-19 07:27:53 [a.py:375] CUDA out of memory. Tried to allocate 1.74 GiB. GPU 1 has a total\n\
                    (W rank=0 pid=4) ERROR 03-19 07:27:53 [a.py:375] CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total\n\
                    (W rank=1 pid=5) ERROR 03-19 07:27:53 [a.py:375]  capacity of 23.57 GiB of which 605.88 MiB is free.\n\
                    (W rank=0 pid=4) ERROR 03-19 07:27:53 [a.py:375]  capacity of 24.00 GiB of which 1.00 MiB is free.\n";
        let events = scan(text.as_bytes());
        let seen: Vec<_> = events
            .list
            .iter()
            .map(|e| (e.rank, e.number("device"), e.number("total_gib"), e.number("free_mib")))
            .collect();
        assert_eq!(
            seen,
            [(Some(1), Some(1.0), Some(23.57), Some(605.88)), (Some(0), Some(0.0), Some(24.0), Some(1.0))]
        );
    }

    #[test]
    fn repeated_messages_stay_bounded() {
        let line =
            "ERROR torch: CUDA out of memory. Tried to allocate 2.00 MiB. GPU 0 has a total capacity of 8.00 GiB\n";
        let events = scan(line.repeat(20_000).as_bytes());
        assert_eq!(events.list.len(), 2 * KEPT);
        assert_eq!(events.dropped, 20_000 - 2 * KEPT as u64);
        assert_eq!(events.list.last().unwrap().place.line, 20_000);
    }

    #[test]
    fn a_message_is_found_among_many_lines_that_resemble_it() {
        let near = "Available KV cache memory: see above\n".repeat(3 * PATIENCE as usize);
        let events = scan(format!("{near}Available KV cache memory: 2.97 GiB\n{near}").as_bytes());
        assert_eq!(events.list.len(), 1);
        assert_eq!(events.list[0].place.line, 3 * u64::from(PATIENCE) + 1);
    }

    #[test]
    fn lines_without_end_are_read_in_part() {
        let mut text = vec![b'x'; 3 << 20];
        text.extend_from_slice(b" No available memory for the cache blocks");
        text.extend(vec![b'y'; 3 << 20]);
        let events = scan(&text);
        assert_eq!(events.list.len(), 1);
        assert!(events.list[0].text.len() < 4 * QUOTED);
    }
}
