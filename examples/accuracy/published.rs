//! Published start-ups of vLLM beside their plans.
#![allow(dead_code, reason = "the test of the headline figures and the document use a part each")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::corpus;
use crate::starts::{Compared, Figure, compare, dependable};

/// One figure over all rows that have it.
pub struct Table {
    name: &'static str,
    aim: &'static str,
    /// Relative errors from here on are listed, in per cent.
    miss: f64,
    rows: Vec<(String, Figure)>,
}

impl Table {
    fn new(
        (name, aim): (&'static str, &'static str),
        miss: f64,
        rows: &[&Compared],
        of: impl Fn(&Compared) -> Option<Figure>,
    ) -> Self {
        let figure = |row: &&Compared| Some((row.name(), of(row)?));
        Self { name, aim, miss, rows: rows.iter().filter_map(figure).collect() }
    }

    fn sorted(&self, of: impl Fn(&Figure) -> f64) -> Vec<f64> {
        let mut all: Vec<f64> = self.rows.iter().map(|(_, f)| of(f)).collect();
        all.sort_by(f64::total_cmp);
        all
    }

    /// Mean of the absolute relative errors, in per cent.
    pub fn mean(&self) -> f64 {
        let errors = self.sorted(|f| f.error().abs() * 100.0);
        errors.iter().sum::<f64>() / errors.len() as f64
    }

    /// Median of the absolute relative errors, in per cent.
    pub fn median(&self) -> f64 {
        median(&self.sorted(|f| f.error().abs() * 100.0))
    }

    /// The largest difference, in GiB.
    pub fn farthest(&self) -> f64 {
        self.sorted(|f| (f.planned[1] - f.measured).abs()).last().copied().unwrap_or(0.0)
    }

    /// How many rows there are, and how many of them lie within the bounds.
    pub fn coverage(&self) -> (usize, usize) {
        (self.rows.len(), self.rows.iter().filter(|(_, f)| f.covered()).count())
    }

    fn line(&self) -> String {
        let (n, covered) = self.coverage();
        if n == 0 {
            return format!("| {} | 0 | | | | | {} |", self.name, self.aim);
        }
        let absolute = self.sorted(|f| (f.planned[1] - f.measured).abs());
        let width = self.sorted(|f| (f.planned[2] - f.planned[0]) / f.planned[1].abs().max(0.01) * 100.0);
        format!(
            "| {} | {n} | {:.2} % | {:.2} % | {:.2} GiB | {covered}/{n}, ±{:.1} % | {} |",
            self.name,
            self.mean(),
            self.median(),
            median(&absolute),
            median(&width) / 2.0,
            self.aim
        )
    }

    /// Rows that are off or outside their bounds, each with its reason where one is known.
    fn misses(&self, reasons: &BTreeMap<(String, String), String>) -> String {
        let mut text = String::new();
        for (name, figure) in &self.rows {
            let off = figure.error() * 100.0;
            if off.abs() <= self.miss && figure.covered() {
                continue;
            }
            let [low, expected, high] = figure.planned;
            let outside = if figure.covered() { "" } else { ", outside the bounds" };
            let id = name.split(' ').next().unwrap_or_default().to_owned();
            let kind = self.name.split(',').next().unwrap_or_default().to_owned();
            let why = reasons.get(&(id, kind)).map_or(String::new(), |why| format!(". {why}"));
            let _ = writeln!(
                text,
                "- {} {off:+.1} %: {expected:.2} ({low:.2}..{high:.2}) instead of {:.2}{outside}: {name}{why}",
                self.name, figure.measured
            );
        }
        text
    }
}

/// The middle of sorted numbers.
pub fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// All rows, planned where they can be.
pub struct Published {
    rows: Vec<Compared>,
    skipped: Vec<String>,
}

impl Published {
    /// Plans every stored row.
    pub fn plan() -> Self {
        let (mut rows, mut skipped) = (Vec::new(), Vec::new());
        for row in corpus::rows("runs/vllm.jsonl") {
            match compare(&row) {
                Ok(compared) => rows.push(compared),
                Err(why) => skipped.push(format!("{} ({}): {why}", row["id"].as_str().unwrap(), row["model"])),
            }
        }
        Self { rows, skipped }
    }

    /// Rows of which nothing that matters was deduced, or the others.
    pub fn rows(&self, scored: bool) -> Vec<&Compared> {
        self.rows.iter().filter(|r| dependable(&r.row) == scored).collect()
    }

    /// Weights, pool, activations of text models of 0.11 to 0.19, all other activations, non-torch, graphs.
    pub fn figures(rows: &[&Compared]) -> [Table; 6] {
        let recent = |row: &Compared| row.version.major == 0 && (11..=19).contains(&row.version.minor);
        let text: Vec<&Compared> = rows.iter().copied().filter(|r| r.is_text() && recent(r)).collect();
        let others: Vec<&Compared> = rows.iter().copied().filter(|r| !(r.is_text() && recent(r))).collect();
        [
            Table::new(("weights as printed", "mean ≤ 0.3 %"), 0.5, rows, Compared::weights),
            Table::new(("KV pool", "mean ≤ 1.5 %"), 1.5, rows, Compared::pool),
            Table::new(("activation, text, 0.11-0.19", "median ≤ 3 %"), 3.0, &text, Compared::activation),
            Table::new(("activation, all others", "median ≤ 15 %"), 10.0, &others, Compared::activation),
            Table::new(("non-torch", "within 0.3 GiB"), 50.0, rows, Compared::non_torch),
            Table::new(("CUDA graphs", "order only"), 100.0, rows, Compared::graphs),
        ]
    }

    /// How many runs started and how many of them are called so; how many died and how many of them are called does-not-fit or tight.
    pub fn verdicts(rows: &[&Compared]) -> [(usize, usize); 2] {
        let count = |died: bool, right: &dyn Fn(&Compared) -> bool| {
            let of_kind = || rows.iter().filter(move |r| r.died() == Some(died));
            (of_kind().count(), of_kind().filter(|r| right(r)).count())
        };
        [count(false, &|r| r.starts()), count(true, &|r| !r.starts() || r.verdict.state.name() == "tight")]
    }
}

/// Why single rows are off: `runs/explained.jsonl`.
fn reasons() -> BTreeMap<(String, String), String> {
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = corpus::rows("runs/explained.jsonl");
    rows.iter().map(|row| ((text(row, "id"), text(row, "figure")), text(row, "why"))).collect()
}

/// The tables; with `all`, every miss.
pub fn tables(all: bool) -> String {
    let published = Published::plan();
    let reasons = reasons();
    let (scored, deduced) = (published.rows(true), published.rows(false));
    let mut out = String::new();
    let _ = writeln!(
        out,
        "Published vLLM start-ups: {} planned, {} of them scored, {} not planned",
        published.rows.len(),
        scored.len(),
        published.skipped.len()
    );
    for (title, rows) in [("Scored", &scored), ("With a deduced model, size, version or quantisation", &deduced)] {
        let _ = writeln!(out, "\n{title}:\n");
        let head = "| figure | n | mean error | median error | median difference | covered, median bounds | aim |";
        let _ = writeln!(out, "{head}\n| --- | --- | --- | --- | --- | --- | --- |");
        let figures = Published::figures(rows);
        for table in &figures {
            let _ = writeln!(out, "{}", table.line());
        }
        let [(started, called), (died, warned)] = Published::verdicts(rows);
        let _ = writeln!(
            out,
            "\nRuns that started, called so: {called} of {started}; that died, called does-not-fit or tight: {warned} of {died}\n"
        );
        if all {
            for table in &figures {
                out.push_str(&table.misses(&reasons));
            }
            out.push_str(&wrong_verdicts(rows, &reasons));
        }
    }
    if all {
        out.push('\n');
        for why in &published.skipped {
            let _ = writeln!(out, "- not planned: {why}");
        }
    }
    out
}

fn wrong_verdicts(rows: &[&Compared], reasons: &BTreeMap<(String, String), String>) -> String {
    let mut out = String::new();
    for row in rows {
        let tight = row.verdict.state.name() == "tight";
        let what = match row.died() {
            Some(false) if !row.starts() => "started",
            Some(true) if row.starts() && !tight => "died",
            _ => continue,
        };
        let id = row.row["id"].as_str().unwrap().to_owned();
        let why = reasons.get(&(id, "verdict".to_owned())).map_or(String::new(), |why| format!(". {why}"));
        let _ = writeln!(out, "- {what}, but {}: {}{why}", row.verdict.message, row.name());
    }
    out
}
