//! Published runs of Transformers beside their plans.
#![allow(dead_code, reason = "the test of the headline figures uses a part")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::published::median;
use crate::{corpus, runs};

/// One run: MiB over all cards.
struct Peak {
    name: String,
    version: String,
    quantization: String,
    measured: f64,
    low: f64,
    expected: f64,
    high: f64,
    /// Without the pass over the prompt.
    steps: f64,
}

impl Peak {
    fn error(&self) -> f64 {
        (self.compared() / self.measured - 1.0) * 100.0
    }

    /// The tables of 4.51 show the steps alone: what one layer's feed-forward rows of the prompt must take is not in them.
    fn compared(&self) -> f64 {
        if self.version.starts_with("4.51") { self.steps } else { self.expected }
    }

    fn covered(&self) -> bool {
        (self.low - 1.0..=self.high + 1.0).contains(&self.measured)
    }
}

/// The runs that could be planned, and why the others could not.
fn peaks() -> (Vec<Peak>, Vec<String>) {
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let (mut peaks, mut skipped) = (Vec::new(), Vec::new());
    for row in corpus::rows("runs/others.jsonl") {
        if row["engine"].as_str() != Some("transformers") {
            continue;
        }
        let id = row["model"].as_str().unwrap();
        let mut skip = |why: String| skipped.push(format!("{} ({id}): {why}", row["id"].as_str().unwrap_or("?")));
        let Some(run) = runs::run(&row) else {
            skip("the page states neither version nor unit of its figures, or prints no peak".to_owned());
            continue;
        };
        let plan = match corpus::published_model(id) {
            None => Err("no config".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(model)) => runs::plan(&model, &run),
        };
        match plan {
            Err(why) => skip(why),
            Ok(plan) => {
                let [low, high] = runs::bounds(&plan);
                peaks.push(Peak {
                    name: format!("{id}, {} cards, {} tokens", row["gpu_count"], row["batch"]["input_tokens"]),
                    version: run.version.to_string(),
                    quantization: row["quantization"].as_str().unwrap_or("none").to_owned(),
                    measured: mib(run.peak),
                    low: mib(low.0),
                    expected: mib(runs::allocated(&plan).0),
                    high: mib(high.0),
                    steps: mib(runs::steps(&plan).0),
                });
            }
        }
    }
    (peaks, skipped)
}

/// Misses listed from here on, in per cent.
const MISS: f64 = 5.0;

/// The table and, with `all`, the runs that are off and those that were not planned.
pub fn tables(all: bool) -> String {
    let (peaks, skipped) = peaks();
    let mut series = BTreeMap::<(&str, &str), Vec<&Peak>>::new();
    for peak in &peaks {
        series.entry((&peak.version, &peak.quantization)).or_default().push(peak);
    }
    let everything: Vec<&Peak> = peaks.iter().collect();
    let mut out = String::new();
    let _ = writeln!(out, "Published Transformers runs: {} planned, {} not planned\n", peaks.len(), skipped.len());
    let _ = writeln!(out, "| series | n | mean error | median error | worst | within 10 % | covered, median bounds |");
    let _ = writeln!(out, "| --- | --- | --- | --- | --- | --- | --- |");
    let named = series.iter().map(|((version, quantization), rows)| (format!("{version} {quantization}"), rows));
    for (name, rows) in named.chain([("all".to_owned(), &everything)]) {
        let n = rows.len();
        let mut errors: Vec<f64> = rows.iter().map(|p| p.error().abs()).collect();
        errors.sort_by(f64::total_cmp);
        let mut widths: Vec<f64> = rows.iter().map(|p| (p.high - p.low) / p.expected * 50.0).collect();
        widths.sort_by(f64::total_cmp);
        let _ = writeln!(
            out,
            "| {name} | {n} | {:.2} % | {:.2} % | {:.2} % | {}/{n} | {}/{n}, ±{:.0} % |",
            errors.iter().sum::<f64>() / n as f64,
            median(&errors),
            errors[n - 1],
            errors.iter().filter(|e| **e <= 10.0).count(),
            rows.iter().filter(|p| p.covered()).count(),
            median(&widths),
        );
    }
    let _ = writeln!(out);
    if all {
        for peak in peaks.iter().filter(|p| p.error().abs() > MISS || !p.covered()) {
            let _ = writeln!(
                out,
                "- {:+.1} %: {:.0} MiB ({:.0}..{:.0}) instead of {:.0}: {} {} {}",
                peak.error(),
                peak.compared(),
                peak.low,
                peak.high,
                peak.measured,
                peak.version,
                peak.quantization,
                peak.name
            );
        }
        let mut reasons = BTreeMap::<&str, usize>::new();
        for line in &skipped {
            *reasons.entry(line.split_once(": ").map_or(line.as_str(), |(_, why)| why)).or_default() += 1;
        }
        for (why, count) in reasons {
            let _ = writeln!(out, "- not planned, {count} rows: {why}");
        }
    }
    out
}

/// Planned runs, the share of them within 10 %, and the share covered.
pub fn headline() -> (usize, f64, f64) {
    let (peaks, _) = peaks();
    let share = |of: &dyn Fn(&Peak) -> bool| peaks.iter().filter(|p| of(p)).count() as f64 / peaks.len() as f64;
    (peaks.len(), share(&|p| p.error().abs() <= 10.0), share(&Peak::covered))
}
