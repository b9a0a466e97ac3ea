//! The whole of `docs/accuracy.md`.

use std::fmt::Write as _;

use crate::exact::{self, Answer};
use crate::{MAPS, VLLM, published, speed, transformers};

/// Prints every table with its misses. Speeds are those of the machine at hand, which the caller names, with the day.
pub fn document(machine: &str) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "# Accuracy\n\nWritten by `cargo run --release --example accuracy -- document \"MACHINE, DATE\"`. The rows behind each figure are in \
         `tests/data/` with their sources; nothing below was run on this machine but the last section.\n\n\
         Errors are those of the expected figure; \"covered\" counts rows whose measured figure lies within `low..high`, and the bounds are \
         half the median distance between the two.\n"
    );
    out.push_str(&answers());
    let _ = writeln!(
        out,
        "## Published runs of vLLM\n\nScored are rows whose page states model, tensor-parallel size, version and quantisation. Of the others \
         at least one of these was deduced, so they are for a look. Pools are compared where card and share of it are stated. A figure is \
         listed as a miss from 0.5 % (weights), 1.5 % (pool), 3 % (activation of text models), 10 % (other activation), 50 % (non-torch) and \
         100 % (graphs) on, or when it lies outside its bounds.\n\n{}",
        published::tables(true)
    );
    let _ = writeln!(
        out,
        "## Published runs of Transformers\n\nPeaks of torch's allocator, summed over the cards. The tables of 4.51 show the steps after the \
         prompt only: one layer's feed-forward rows of 30,720 tokens alone are more than what they leave above weights and cache. They are \
         compared with the low end of our peak, which is that of the steps; the expected figure has the prompt in it. Listed are rows that are \
         off by more than 5 % or outside the bounds.\n\n\
         Known causes: GPTQ rows of 4.38 hold ExLlama's scratch in some tables and not in others, which the pages do not tell (the bounds \
         reach from none to version 2); prompts over several cards keep further copies of the scores that are not in our figure; AWQ on 4.51 \
         holds about one feed-forward row of the prompt more.\n\n{}",
        transformers::tables(true)
    );
    let _ = writeln!(out, "## Speed\n\nOn {machine}, one core:\n\n{}", speed::measure());
    out
}

fn every(rows: &[Answer]) -> Vec<&Answer> {
    rows.iter().collect()
}

/// What the peers' own code answers.
fn answers() -> String {
    let parameters = exact::parameters();
    let ranks = VLLM.map(exact::per_rank);
    let [refused, built] = exact::refusals();
    let pools = exact::pools();
    let maps = MAPS.map(|(file, version)| exact::device_maps(file, version));
    let mut out = "## Answers of the peers' own code\n\n| what | rows | read | exact | share | aim |\n| --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    out.push_str(&exact::summary("parameters of a model", &every(&parameters), "all"));
    for (version, rows) in VLLM.iter().zip(&ranks) {
        for (name, plain, aim) in [("unquantised", true, "98 %"), ("quantised", false, "95 %")] {
            let some: Vec<&Answer> = rows.iter().filter(|a| a.kind.ends_with(" -") == plain).collect();
            out.push_str(&exact::summary(&format!("bytes of a rank, vLLM {version}, {name}"), &some, aim));
        }
    }
    out.push_str(&exact::summary("sizes that vLLM refuses, refused", &every(&refused), "all"));
    out.push_str(&exact::summary("sizes that vLLM builds, not refused", &every(&built), "all"));
    out.push_str(&exact::summary("KV pools and lengths of refusals", &every(&pools), "all"));
    for ((_, version), rows) in MAPS.iter().zip(&maps) {
        out.push_str(&exact::summary(&format!("device maps of Transformers {version}"), &every(rows), "99 %"));
    }
    out.push_str("\nRows that differ or were not read:\n\n");
    let before = out.len();
    for rows in [&parameters, &ranks[0], &ranks[1], &refused, &built, &pools, &maps[0], &maps[1]] {
        out.push_str(&exact::misses(rows, "- "));
    }
    if out.len() == before {
        out.push_str("None.\n");
    }
    out.push('\n');
    out
}
