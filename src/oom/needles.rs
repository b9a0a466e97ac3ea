//! The literal texts of all patterns in one automaton.
//!
//! A step of an automaton waits for the step before it. Four parts of the text are therefore walked side by side, which keeps the
//! processor busy and is about twice as fast as one walk.

use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::{Builder, DFA};
use aho_corasick::{AhoCorasick, Anchored, BuildError, MatchKind, StartKind};

/// Parts that are walked side by side.
const LANES: usize = 4;
/// Parts shorter than this are not worth it.
const SHORTEST_LANE: usize = 4 << 10;

/// Literal texts, each owned by a pattern.
#[derive(Debug)]
pub(super) struct Needles {
    dfa: DFA,
    /// Finds all texts of one line, overlapping ones too.
    all: AhoCorasick,
    owners: Vec<usize>,
    longest: usize,
}

impl Needles {
    /// Builds the automaton; each text with the index of its owner.
    pub(super) fn new(texts: &[(String, usize)]) -> Result<Self, BuildError> {
        let words = || texts.iter().map(|(text, _)| text.as_str());
        Ok(Self {
            dfa: Builder::new().match_kind(MatchKind::Standard).start_kind(StartKind::Unanchored).build(words())?,
            all: AhoCorasick::builder().match_kind(MatchKind::Standard).build(words())?,
            owners: texts.iter().map(|(_, owner)| *owner).collect(),
            longest: words().map(str::len).max().unwrap_or(0),
        })
    }

    /// Owners of the texts in a line, each once, in order.
    pub(super) fn owners(&self, line: &[u8]) -> Vec<usize> {
        let found =
            self.all.find_overlapping_iter(line).filter_map(|m| self.owners.get(m.pattern().as_usize()).copied());
        let mut found: Vec<usize> = found.collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Where texts end (the index of their last byte), in order.
    pub(super) fn ends(&self, text: &[u8]) -> Vec<usize> {
        let Ok(start) = self.dfa.start_state(Anchored::No) else { return Vec::new() };
        let mut found = Vec::new();
        let lane = text.len() / LANES;
        if lane < SHORTEST_LANE.max(self.longest) {
            self.walk(start, text, 0, &mut found);
            return found;
        }
        let step = |state, byte: u8| self.dfa.next_state(Anchored::No, state, byte);
        // Each part begins in the state that the end of the part before it leads to.
        let warm = |at: usize| text[at - self.longest..at].iter().fold(start, |state, byte| step(state, *byte));
        let (mut a, mut b, mut c, mut d) = (start, warm(lane), warm(2 * lane), warm(3 * lane));
        let mut later: [Vec<usize>; LANES - 1] = [const { Vec::new() }; LANES - 1];
        let parts = text[..lane]
            .iter()
            .zip(&text[lane..2 * lane])
            .zip(&text[2 * lane..3 * lane])
            .zip(&text[3 * lane..4 * lane]);
        for (at, (((w, x), y), z)) in parts.enumerate() {
            (a, b, c, d) = (step(a, *w), step(b, *x), step(c, *y), step(d, *z));
            if self.dfa.is_match(a) | self.dfa.is_match(b) | self.dfa.is_match(c) | self.dfa.is_match(d) {
                if self.dfa.is_match(a) {
                    found.push(at);
                }
                for (lane_number, (state, ends)) in [b, c, d].into_iter().zip(&mut later).enumerate() {
                    if self.dfa.is_match(state) {
                        ends.push((lane_number + 1) * lane + at);
                    }
                }
            }
        }
        later.iter().for_each(|ends| found.extend(ends));
        self.walk(d, &text[LANES * lane..], LANES * lane, &mut found);
        found
    }

    /// One walk from a state.
    fn walk(&self, mut state: aho_corasick::automaton::StateID, text: &[u8], offset: usize, found: &mut Vec<usize>) {
        for (at, byte) in text.iter().enumerate() {
            state = self.dfa.next_state(Anchored::No, state, *byte);
            if self.dfa.is_match(state) {
                found.push(offset + at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_by_side_finds_what_one_walk_finds() {
        let needles = Needles::new(&[("needle".into(), 0), ("eel".into(), 1), ("needles in".into(), 2)]).unwrap();
        let mut text = vec![b'.'; 8 * SHORTEST_LANE + 3];
        let length = text.len();
        let lane = length / LANES;
        for at in [0, 100, lane - 3, lane, 2 * lane - 1, 3 * lane - 9, 4 * lane - 4, length - 6] {
            text[at..at + 6].copy_from_slice(b"needle");
        }
        let mut one = Vec::new();
        needles.walk(needles.dfa.start_state(Anchored::No).unwrap(), &text, 0, &mut one);
        assert!(one.len() >= 6);
        assert_eq!(needles.ends(&text), one);
        assert_eq!(needles.owners(b"an eel, needles in hay"), [0, 1, 2]);
    }
}
