//! Published start-ups of vLLM beside their plans.

use std::fmt::Write as _;

use crate::corpus;
use crate::starts::{Compared, Figure, compare, dependable};

/// One figure over all rows that have it.
struct Table {
    name: &'static str,
    aim: &'static str,
    rows: Vec<(String, Figure)>,
}

impl Table {
    fn new(
        name: &'static str,
        aim: &'static str,
        rows: &[&Compared],
        of: impl Fn(&Compared) -> Option<Figure>,
    ) -> Self {
        let figure = |row: &&Compared| Some((row.name(), of(row)?));
        Self { name, aim, rows: rows.iter().filter_map(figure).collect() }
    }

    fn sorted(&self, of: impl Fn(&Figure) -> f64) -> Vec<f64> {
        let mut all: Vec<f64> = self.rows.iter().map(|(_, f)| of(f)).collect();
        all.sort_by(f64::total_cmp);
        all
    }

    fn line(&self) -> String {
        let n = self.rows.len();
        if n == 0 {
            return format!("| {} | 0 | | | | | {} |", self.name, self.aim);
        }
        let errors = self.sorted(|f| f.error().abs() * 100.0);
        let absolute = self.sorted(|f| (f.planned[1] - f.measured).abs());
        let width = self.sorted(|f| (f.planned[2] - f.planned[0]) / f.planned[1].abs().max(0.01) * 100.0);
        let covered = self.rows.iter().filter(|(_, f)| f.covered()).count();
        format!(
            "| {} | {n} | {:.2} % | {:.2} % | {:.2} GiB | {covered}/{n}, ±{:.0} % | {} |",
            self.name,
            errors.iter().sum::<f64>() / n as f64,
            median(&errors),
            median(&absolute),
            median(&width) / 2.0,
            self.aim
        )
    }

    fn misses(&self) -> String {
        let mut text = String::new();
        for (name, figure) in &self.rows {
            let off = figure.error() * 100.0;
            if off.abs() > 1.0 || !figure.covered() {
                let [low, expected, high] = figure.planned;
                let outside = if figure.covered() { "" } else { ", outside the bounds" };
                let _ = writeln!(
                    text,
                    "  {} {off:+.1} %: {expected:.2} ({low:.2}..{high:.2}) instead of {:.2}{outside}: {name}",
                    self.name, figure.measured
                );
            }
        }
        text
    }
}

fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// Rows that can be planned, and why the others cannot.
fn planned() -> (Vec<Compared>, Vec<String>) {
    let mut skipped = Vec::new();
    let mut rows = Vec::new();
    for row in corpus::rows("runs/vllm.jsonl") {
        match compare(&row) {
            Ok(compared) => rows.push(compared),
            Err(why) => skipped.push(format!("{} ({}): {why}", row["id"].as_str().unwrap(), row["model"])),
        }
    }
    (rows, skipped)
}

/// The tables; with `all`, every miss.
pub fn tables(all: bool) -> String {
    let (rows, skipped) = planned();
    let scored: Vec<&Compared> = rows.iter().filter(|r| dependable(&r.row)).collect();
    let text: Vec<&Compared> = scored.iter().copied().filter(|r| r.is_text() && recent(r)).collect();
    let others: Vec<&Compared> = scored.iter().copied().filter(|r| !(r.is_text() && recent(r))).collect();
    let tables = [
        Table::new("weights as printed", "mean ≤ 0.3 %", &scored, Compared::weights),
        Table::new("KV pool", "mean ≤ 1.5 %", &scored, Compared::pool),
        Table::new("activation, text, 0.11-0.19", "median ≤ 3 %", &text, Compared::activation),
        Table::new("activation, all others", "median ≤ 15 %", &others, Compared::activation),
        Table::new("non-torch", "within 0.3 GiB", &scored, Compared::non_torch),
        Table::new("CUDA graphs", "order only", &scored, Compared::graphs),
    ];
    let mut out = String::new();
    let _ = writeln!(
        out,
        "Published vLLM start-ups: {} planned, {} of them scored, {} not planned\n",
        rows.len(),
        scored.len(),
        skipped.len()
    );
    let _ =
        writeln!(out, "| figure | n | mean error | median error | median difference | covered, median bounds | aim |");
    let _ = writeln!(out, "| --- | --- | --- | --- | --- | --- | --- |");
    for table in &tables {
        let _ = writeln!(out, "{}", table.line());
    }
    let _ = writeln!(out);
    out.push_str(&verdicts("scored", &scored, all));
    let every: Vec<&Compared> = rows.iter().collect();
    out.push_str(&verdicts("with deduced fields", &every, all));
    if all {
        let every: Vec<&Compared> = rows.iter().filter(|r| !dependable(&r.row)).collect();
        let others = [
            Table::new("weights as printed", "", &every, Compared::weights),
            Table::new("KV pool", "", &every, Compared::pool),
            Table::new("activation", "", &every, Compared::activation),
            Table::new("non-torch", "", &every, Compared::non_torch),
            Table::new("CUDA graphs", "", &every, Compared::graphs),
        ];
        for table in &others {
            let _ = writeln!(out, "{}", table.line());
            out.push_str(&table.misses());
        }
        for table in &tables {
            out.push_str(&table.misses());
        }
        for why in skipped {
            let _ = writeln!(out, "  not planned: {why}");
        }
    }
    out
}

/// 0.11 to 0.19.
fn recent(row: &Compared) -> bool {
    row.version.major == 0 && (11..=19).contains(&row.version.minor)
}

fn verdicts(name: &str, rows: &[&Compared], all: bool) -> String {
    let mut out = String::new();
    let with = |died: bool| rows.iter().filter(move |r| r.died() == Some(died));
    let started = with(false).count();
    let right = with(false).filter(|r| r.starts()).count();
    let died = with(true).count();
    let warned = with(true).filter(|r| !r.starts() || r.verdict.state.name() == "tight").count();
    let _ = writeln!(
        out,
        "Runs that started, called so ({name}): {right} of {started}; that died, called does-not-fit or tight: {warned} of {died}"
    );
    if all {
        for row in with(false).filter(|r| !r.starts()) {
            let _ = writeln!(out, "  started: {}: {}", row.name(), row.verdict.message);
        }
        for row in with(true).filter(|r| r.starts() && r.verdict.state.name() != "tight") {
            let _ = writeln!(out, "  died: {}: {}", row.name(), row.verdict.message);
        }
    }
    out
}

/// The compact copy in `docs/accuracy.md`.
pub fn document() -> String {
    format!(
        "# Accuracy\n\nWritten by `cargo run --release --example accuracy -- document`; the rows behind each figure are in `tests/data/`, every \
         miss is listed by `-- starts --all`.\nErrors are of the expected figure against what the log printed; \"covered\" counts rows whose \
         measured figure lies within `low..high`.\n\n## Published runs of vLLM\n\n{}",
        tables(false)
    )
}
