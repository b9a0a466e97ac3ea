//! Texts by number, each written once.

use std::collections::HashMap;

/// Numbers of texts. Number 0 stands for no text.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    numbers: HashMap<String, Known>,
    /// Texts given a number so far.
    count: i64,
    /// Texts that are not in the file yet.
    fresh: Vec<String>,
    /// Samples so far, to tell what was used lately.
    sample: u64,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    number: i64,
    /// Sample in which it was used last.
    used: u64,
}

impl Texts {
    /// Texts kept in memory. A day of short-lived processes has more command lines than that; one that comes back after it was forgotten
    /// is written again under a new number.
    const MOST: usize = 8192;

    /// The number of a text.
    pub fn number(&mut self, text: &str) -> i64 {
        if let Some(known) = self.numbers.get_mut(text) {
            known.used = self.sample;
            return known.number;
        }
        self.count += 1;
        self.numbers.insert(text.to_owned(), Known { number: self.count, used: self.sample });
        self.fresh.push(text.to_owned());
        self.count
    }

    /// The texts that were given a number since the last call, in the order of their numbers. A sample is whole with it.
    pub fn take_fresh(&mut self) -> Vec<String> {
        if self.numbers.len() > Self::MOST {
            let now = self.sample;
            self.numbers.retain(|_, known| known.used == now);
        }
        self.sample += 1;
        std::mem::take(&mut self.fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_is_never_forgotten() {
        let mut texts = Texts::default();
        let lasting = texts.number("python3");
        for process in 0..30_000 {
            texts.number(&format!("job {process}"));
            assert_eq!(texts.number("python3"), lasting);
            texts.take_fresh();
            assert!(texts.numbers.len() <= Texts::MOST + 2);
        }
        assert_eq!(texts.number("job 1"), 30_002, "a number is never given to another text");
        assert_eq!(texts.take_fresh(), ["job 1"]);
    }
}
