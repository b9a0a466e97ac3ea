//! The headline figures of `docs/accuracy.md`: none may fall behind what was reached.
#![allow(clippy::unwrap_used, reason = "test data is known to be whole")]

#[path = "corpus/mod.rs"]
mod corpus;
#[path = "../examples/accuracy/published.rs"]
mod published;
#[path = "corpus/runs.rs"]
mod runs;
#[path = "corpus/starts.rs"]
mod starts;
#[path = "../examples/accuracy/transformers.rs"]
mod transformers;

use published::Published;

#[test]
fn published_starts_of_vllm_stay_as_close_as_they_were() {
    let published = Published::plan();
    let scored = published.rows(true);
    let [weights, pool, text, other, outside, _] = Published::figures(&scored);
    for (table, least) in [(&weights, 10), (&pool, 7), (&text, 7), (&other, 7), (&outside, 14)] {
        let (n, covered) = table.coverage();
        assert!(n >= least, "{n} rows, not {least}");
        // One row of ten may lie outside its bounds.
        assert!(covered * 10 >= n * 8, "{covered} of {n} covered");
    }
    assert!(weights.mean() <= 0.3, "weights: {:.2} %", weights.mean());
    assert!(pool.mean() <= 0.5, "KV pool: {:.2} %", pool.mean());
    assert!(text.median() <= 1.0, "activation of text models: {:.2} %", text.median());
    assert!(other.median() <= 5.0, "other activations: {:.2} %", other.median());
    assert!(outside.farthest() <= 0.3, "non-torch: {:.2} GiB", outside.farthest());
}

#[test]
fn verdicts_agree_with_what_became_of_the_runs() {
    let published = Published::plan();
    let every: Vec<_> = [true, false].into_iter().flat_map(|scored| published.rows(scored)).collect();
    let [(started, called), (died, warned)] = Published::verdicts(&every);
    assert!(started >= 54 && died >= 17, "{started} and {died} runs");
    assert!(called * 100 >= started * 95, "{called} of {started} that started");
    assert!(warned * 100 >= died * 85, "{warned} of {died} that died");
}

#[test]
fn published_peaks_of_transformers_stay_as_close_as_they_were() {
    let (runs, within, covered) = transformers::headline();
    assert!(runs >= 209, "{runs} runs");
    assert!(within >= 0.97, "{:.1} % within 10 %", within * 100.0);
    assert!(covered >= 0.90, "{:.1} % covered", covered * 100.0);
}

#[test]
fn every_reason_is_of_a_row_that_is_there() {
    let rows = corpus::rows("runs/vllm.jsonl");
    for entry in corpus::rows("runs/explained.jsonl") {
        assert!(rows.iter().any(|row| row["id"] == entry["id"]), "{entry}");
    }
}

#[test]
fn every_miss_has_a_reason() {
    // Misses are lines of the document's list; those without a reason end in the name of the run.
    let text = published::tables(true);
    let unexplained: Vec<&str> = text
        .lines()
        .filter(|l| l.starts_with("- ") && l.contains(" instead of ") && l.ends_with(|c: char| c.is_ascii_digit()))
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}
