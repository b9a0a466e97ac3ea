//! The first screen of `plan`: verdict first, at most 20 lines.

use super::columns::{Align, columns};
use super::style::{DIM, GREEN, RED, RESET, YELLOW};
use crate::report::{PlanReport, RankReport, WeakestLine};
use crate::units::Bytes;

/// Rank rows shown before the rest is summed up in words.
const RANK_ROWS: usize = 8;

/// The card to the left, its figures to the right.
const COLUMNS: [Align; 10] = {
    let mut columns = [Align::Right; 10];
    columns[0] = Align::Left;
    columns
};

/// The plan for a terminal.
#[must_use]
pub fn plan_text(report: &PlanReport) -> String {
    let mut lines = Vec::new();
    lines.push(verdict(report));
    lines.push(subject(report));
    lines.push(String::new());
    lines.extend(ranks(report));
    lines.push(String::new());
    lines.extend(capacity(report));
    lines.extend(advice(report));
    lines.extend(closing(report));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn verdict(report: &PlanReport) -> String {
    let colour = match report.verdict.state.as_str() {
        "fits" => GREEN,
        "tight" => YELLOW,
        _ => RED,
    };
    let message = &report.verdict.message;
    match message.split_once(':') {
        Some((word, rest)) => format!("{colour}{word}{RESET}:{rest}"),
        None => format!("{colour}{message}{RESET}"),
    }
}

/// The model, where it is to run, by which rules, how it is divided.
pub(super) fn subject(report: &PlanReport) -> String {
    let layout = match (report.layout.tp, report.layout.pp, report.layout.dp) {
        (Some(tp), Some(pp), 1) => format!("TP {tp} × PP {pp}"),
        (Some(tp), Some(pp), dp) => format!("TP {tp} × PP {pp} × DP {dp}"),
        _ => "device map".to_owned(),
    };
    let quantization = report.workload.quantization.as_deref().map(|q| format!(" {q}")).unwrap_or_default();
    format!(
        "{}{quantization} on {}, {} {}, {layout}",
        report.model.id.as_deref().unwrap_or(&report.model.architecture),
        report.fleet.cards,
        report.engine.name,
        report.engine.version,
    )
}

fn ranks(report: &PlanReport) -> Vec<String> {
    let mut rows = vec![
        ["card", "weights", "KV cache", "activation", "graphs", "comm", "context", "others", "total", "of"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let shown = distinct(&report.ranks);
    for (label, rank) in shown.iter().take(RANK_ROWS) {
        rows.push(vec![
            label.clone(),
            format!("{:.2}", rank.weights_bytes),
            format!("{:.2}", rank.kv_cache_bytes),
            format!("{:.2}", rank.activation_bytes),
            format!("{:.2}", rank.cuda_graph_bytes),
            format!("{:.2}", rank.communication_bytes),
            format!("{:.2}", rank.context_bytes),
            format!("{:.2}", rank.other_processes_bytes),
            format!("{:.2}", rank.total_bytes),
            format!("{:.2}", rank.capacity_bytes),
        ]);
    }
    let mut lines = columns(&COLUMNS, &rows);
    if let Some(head) = lines.first_mut() {
        *head = format!("{DIM}{head}{RESET}");
    }
    if shown.len() > RANK_ROWS {
        lines.push(format!("… and {} more kinds of rank (--format json has all)", shown.len() - RANK_ROWS));
    }
    lines
}

/// Neighbours with equal figures in one row: `0-3 A10`.
fn distinct(ranks: &[RankReport]) -> Vec<(String, &RankReport)> {
    let mut rows: Vec<(u32, u32, &RankReport)> = Vec::new();
    for rank in ranks {
        match rows.last_mut() {
            Some((_, last, first)) if same_figures(first, rank) => *last = rank.card,
            _ => rows.push((rank.card, rank.card, rank)),
        }
    }
    rows.into_iter()
        .map(|(first, last, rank)| {
            let cards = if first == last { first.to_string() } else { format!("{first}-{last}") };
            (format!("{cards} {}", rank.gpu), rank)
        })
        .collect()
}

fn same_figures(a: &RankReport, b: &RankReport) -> bool {
    a.gpu == b.gpu
        && a.weights_bytes == b.weights_bytes
        && a.total_bytes == b.total_bytes
        && a.other_processes_bytes == b.other_processes_bytes
}

fn capacity(report: &PlanReport) -> Vec<String> {
    let capacity = &report.capacity;
    let mut parts = Vec::new();
    let holds_some = capacity.kv_blocks != Some(0);
    if let Some(tokens) = capacity.kv_cache_tokens.filter(|_| holds_some) {
        let printed = match capacity.printed_kv_cache_tokens {
            Some(printed) if printed != tokens => format!(" (the engine prints {printed})"),
            _ => String::new(),
        };
        parts.push(format!("KV cache {tokens} tokens{printed}"));
    }
    let concurrency = capacity.max_concurrency.filter(|_| holds_some);
    if let (Some(concurrency), Some(length)) = (concurrency, report.workload.max_model_len) {
        parts.push(format!("{concurrency:.2}× sequences of {length}"));
    }
    if let Some(longest) = capacity.longest_context_that_fits {
        parts.push(format!("longest context {longest}"));
    }
    if let Some(cards) = capacity.fewest_cards_that_fit {
        parts.push(format!("fewest cards {cards}"));
    }
    if let Some(bytes) = report.host.offload_bytes.filter(|bytes| *bytes > Bytes::ZERO) {
        parts.push(format!("host memory {bytes:.2}"));
    }
    if parts.is_empty() { Vec::new() } else { vec![parts.join(" · ")] }
}

fn advice(report: &PlanReport) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (i, advice) in report.advice.iter().take(3).enumerate() {
        let label = if i == 0 { "repair" } else { "    or" };
        let tight = if advice.predicted.state == "tight" { ", tight" } else { "" };
        lines.push(format!(
            "{GREEN}{label}{RESET} `{}`: {} to spare{tight}; price: {}",
            advice.flags.join(" "),
            advice.predicted.headroom_bytes,
            advice.price,
        ));
    }
    if let Some(command) = report.advice.first().and_then(|a| a.command.as_ref()) {
        lines.push(format!("    as `{command}`"));
    }
    if report.advice.is_empty() && report.verdict.fits == Some(false) {
        lines.push("no single change or pair of changes tried makes it fit on these cards".to_owned());
    }
    lines
}

fn closing(report: &PlanReport) -> Vec<String> {
    let mut lines = Vec::new();
    for warning in report.warnings.iter().take(2) {
        lines.push(format!("{YELLOW}warning{RESET} {warning}"));
    }
    if report.warnings.len() > 2 {
        lines.push(format!("{YELLOW}warning{RESET} and {} more (--format json has all)", report.warnings.len() - 2));
    }
    lines.push(format!("{DIM}{}{RESET}", assumed(report)));
    if let Some(weakest) = &report.weakest_line {
        lines.push(format!("{DIM}{}{RESET}", least_certain(weakest)));
    }
    lines
}

/// What was taken for granted, and on whose word.
pub(super) fn assumed(report: &PlanReport) -> String {
    let length = report.workload.max_model_len.map(|l| format!(", context {l}")).unwrap_or_default();
    format!(
        "assumed: {} {} ({}), cards {}, model from {}{length}",
        report.engine.name,
        report.engine.version,
        report.engine.version_source.replace('_', " "),
        report.fleet.source,
        report.model.source,
    )
}

/// The line of the ledger to doubt first.
pub(super) fn least_certain(weakest: &WeakestLine) -> String {
    let WeakestLine { component, what, width_bytes, basis } = weakest;
    format!("weakest line: {component} ({what}), bounds {width_bytes} apart, basis {basis}")
}
