//! Answers that the peers' own code gives, beside ours: one [`Answer`] a stored row.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::{corpus, kv, maps, shards};

/// One stored row.
pub struct Answer {
    /// What the row is counted under.
    pub kind: String,
    /// Where it is.
    pub place: String,
    /// How it compares; `None` when the row was not read.
    pub result: Option<Result<(), String>>,
}

impl Answer {
    fn new(kind: String, place: String, result: Option<Result<(), String>>) -> Self {
        Self { kind, place, result }
    }

    fn exact(&self) -> bool {
        matches!(self.result, Some(Ok(())))
    }
}

/// Parameters of every stored list.
pub fn parameters() -> Vec<Answer> {
    let compare = |list: &serde_json::Value| {
        let id = list["id"].as_str().unwrap();
        let (kind, result) = match corpus::model(id) {
            None => ("?".to_owned(), None),
            Some(Err(error)) => ("?".to_owned(), Some(Err(error.to_string()))),
            Some(Ok(model)) => {
                let (ours, theirs) = (model.parameters(), list["params_total"].as_u64().unwrap());
                let equal = if ours == theirs { Ok(()) } else { Err(format!("{ours}, not {theirs}")) };
                (model.architecture, Some(equal))
            }
        };
        Answer::new(kind, id.to_owned(), result)
    };
    corpus::parameter_lists().iter().map(compare).collect()
}

/// Device maps.
pub fn device_maps(file: &str, version: &str) -> Vec<Answer> {
    let rows = corpus::rows(&format!("oracle/{file}"));
    let compare = |row: &serde_json::Value| {
        let id = row["model"].as_str().unwrap();
        let result = match corpus::model(id) {
            Some(Ok(model)) => {
                let compared = maps::compare(&model, row, maps::version(version));
                Some(if compared.exact() { Ok(()) } else { Err(format!("{compared:?}")) })
            }
            Some(Err(_)) | None => None,
        };
        Answer::new(id.to_owned(), format!("{id} {} {}", row["max_memory_name"], row["mode"]), result)
    };
    rows.iter().map(compare).collect()
}

/// Bytes of a rank.
pub fn per_rank(version: &str) -> Vec<Answer> {
    let card = shards::h100();
    let rows = corpus::rows("oracle/vllm_shards.jsonl");
    let compare = |row: &serde_json::Value| {
        let id = row["model"].as_str().unwrap();
        let kind = format!("{} {}", row["arch"].as_str().unwrap_or("?"), row["quant"].as_str().unwrap_or("-"));
        let place = format!(
            "{id} {} tp {} pp {} stage {}",
            row["quant"].as_str().unwrap_or("-"),
            row["tp"],
            row["pp"],
            row["pp_rank"]
        );
        let result = match corpus::model(id) {
            Some(Ok(model)) => Some(match shards::compare(&model, row, &card) {
                Ok(compared) if compared.exact() => Ok(()),
                Ok(compared) => {
                    let shown =
                        |(ours, theirs): (u64, u64)| format!("{:+.4} %", (ours as f64 / theirs as f64 - 1.0) * 100.0);
                    let resident = compared.resident.1.map(|theirs| shown((compared.resident.0, theirs)));
                    Err(format!(
                        "constructed {}, resident {}",
                        shown(compared.constructed),
                        resident.unwrap_or_default()
                    ))
                }
                Err(error) => Err(error),
            }),
            Some(Err(_)) | None => None,
        };
        Answer::new(kind, place, result)
    };
    rows.iter().filter(|row| row["vllm"].as_str() == Some(version)).map(compare).collect()
}

/// Sizes that vLLM refuses, and sizes that it builds.
pub fn refusals() -> [Vec<Answer>; 2] {
    let answer = |row: &serde_json::Value, refused: bool| {
        let id = row["model"].as_str().unwrap();
        let place = format!("{id} tp {} pp {}", row["tp"], row["pp"]);
        let result = match corpus::model(id) {
            Some(Ok(model)) => Some(match (shards::refusal(&model, row), refused) {
                (Some(_), true) | (None, false) => Ok(()),
                (None, true) => Err(format!("not refused, but vLLM says {}", row["error"])),
                (Some(why), false) => Err(format!("refused, but vLLM builds it: {why}")),
            }),
            Some(Err(_)) | None => None,
        };
        Answer::new("all".to_owned(), place, result)
    };
    let refused = corpus::rows("oracle/vllm_shard_refusals.jsonl");
    let of_this_size = refused.iter().filter(|row| row["of_this_size"].as_bool() == Some(true));
    let built = corpus::rows("oracle/vllm_shards.jsonl");
    [of_this_size.map(|row| answer(row, true)).collect(), built.iter().map(|row| answer(row, false)).collect()]
}

/// KV pools: blocks, groups, printed tokens, concurrency, and the lengths of refusals. Rows without an answer are left out.
pub fn pools() -> Vec<Answer> {
    let rows = corpus::rows("oracle/vllm_kv.jsonl");
    let compare = |row: &serde_json::Value| {
        let (id, version) = (row["model"].as_str().unwrap(), row["vllm"].as_str().unwrap());
        let result = match corpus::model(id) {
            Some(Ok(model)) => Some(kv::compare(&model, row)),
            Some(Err(_)) | None => None,
        };
        Answer::new(format!("{version} {:?}", kv::answer(row)), format!("{version} {id} tp {}", row["tp"]), result)
    };
    rows.iter().filter(|row| kv::answer(row) != kv::Answer::None).map(compare).collect()
}

/// A table by kind; with `all`, every row that differs.
pub fn table(title: &str, answers: &[Answer], all: bool) -> String {
    let mut kinds = BTreeMap::<&str, Vec<&Answer>>::new();
    answers.iter().for_each(|a| kinds.entry(&a.kind).or_default().push(a));
    let mut out = String::new();
    if all {
        out.push_str(&misses(answers, "  "));
    }
    let _ = writeln!(out, "{title} (rows, read, exact)");
    let everything: Vec<&Answer> = answers.iter().collect();
    for (kind, rows) in kinds.iter().map(|(kind, rows)| (*kind, rows)).chain([("all", &everything)]) {
        let read = rows.iter().filter(|a| a.result.is_some()).count();
        let exact = rows.iter().filter(|a| a.exact()).count();
        let _ = writeln!(out, "  {kind:58} {:4} {read:4} {exact:4}", rows.len());
    }
    out
}

/// One line of a summary: rows, read, exact, share.
pub fn summary(name: &str, answers: &[&Answer], aim: &str) -> String {
    let read = answers.iter().filter(|a| a.result.is_some()).count();
    let exact = answers.iter().filter(|a| a.exact()).count();
    let share = exact as f64 / answers.len().max(1) as f64 * 100.0;
    format!("| {name} | {} | {read} | {exact} | {share:.1} % | {aim} |\n", answers.len())
}

/// Every row that differs or was not read.
pub fn misses(answers: &[Answer], bullet: &str) -> String {
    let mut out = String::new();
    for answer in answers {
        match &answer.result {
            Some(Ok(())) => {}
            Some(Err(why)) => drop(writeln!(out, "{bullet}{}: {why}", answer.place)),
            None => drop(writeln!(out, "{bullet}{}: not read", answer.place)),
        }
    }
    out
}
