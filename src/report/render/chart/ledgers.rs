//! The ledgers of plans and diagnoses as bars.

use super::bars::{Bar, Bars, Segment};
use super::colours::Hue;
use crate::report::{DiagnosisReport, PlanReport, RankReport};
use crate::units::Bytes;

impl Bars {
    /// The ledgers of a plan.
    #[must_use]
    pub fn of_plan(report: &PlanReport) -> Self {
        let id = report.model.id.clone().unwrap_or_else(|| report.model.architecture.clone());
        let layout = match (report.layout.tp, report.layout.pp) {
            (Some(tp), Some(1)) => format!("TP {tp}"),
            (Some(tp), Some(pp)) => format!("TP {tp} × PP {pp}"),
            _ => "device map".to_owned(),
        };
        let engine = format!("{} {}", report.engine.name, report.engine.version);
        let fits = report.verdict.state.replace('_', " ");
        Self {
            title: format!("{id} on {}: {fits}", report.fleet.cards),
            subtitle: format!("{engine} · {layout} · {}", workload(report)),
            bars: report.ranks.iter().map(bar).collect(),
            note: report.verdict.message.clone(),
        }
    }

    /// Where the bytes of the card went that the first finding is about: by the log, and by the plan where there is one. `None` when no
    /// finding knows both the card and the bytes.
    #[must_use]
    pub fn of_diagnosis(report: &DiagnosisReport) -> Option<Self> {
        let (finding, budget) = report.findings.iter().find_map(|finding| Some((finding, finding.budget.as_ref()?)))?;
        let capacity = budget.capacity_bytes?;
        let part = |label: &str, bytes: Option<Bytes>, hue| {
            let bytes = bytes.filter(|bytes| *bytes > Bytes::ZERO)?;
            Some(Segment { label: label.replace('_', " "), bytes, hue })
        };
        let hues = [Hue::Blue, Hue::Green, Hue::Orange, Hue::Purple, Hue::Yellow, Hue::Sky, Hue::Grey];
        let lines = || budget.lines.iter().zip(hues.iter().cycle());
        let mut stated: Vec<Segment> =
            lines().filter_map(|(line, hue)| part(&line.component, line.stated_bytes, *hue)).collect();
        let planned: Vec<Segment> =
            lines().filter_map(|(line, hue)| part(&line.component, line.planned_bytes, *hue)).collect();
        // Lines that the log leaves out fill the card up to what it says was free.
        let known: Bytes = stated.iter().map(|segment| segment.bytes).sum();
        let used = budget.free_bytes.map(|free| capacity.saturating_sub(free));
        stated.extend(used.and_then(|used| part("not told apart", Some(used.saturating_sub(known)), Hue::Pale)));
        stated.extend(part("asked for", budget.requested_bytes, Hue::Vermilion));
        let card = finding.device.map_or_else(|| "the card".to_owned(), |device| format!("card {device}"));
        let bar = |label: &str, segments: Vec<Segment>| {
            let (label, detail) = (label.to_owned(), card.clone());
            (!segments.is_empty()).then_some(Bar {
                label,
                detail,
                segments,
                capacity: Some(capacity),
                budget: None,
                high: None,
            })
        };
        let bars: Vec<Bar> = [bar("by the log", stated), bar("by the plan", planned)].into_iter().flatten().collect();
        let engine = report.engine.as_deref().unwrap_or("unknown engine");
        let version = report.engine_version.as_deref().unwrap_or_default();
        (!bars.is_empty()).then(|| Self {
            title: finding.cause.id().replace('_', " "),
            subtitle: format!("{engine} {version} · {card}").replace("  ", " "),
            bars,
            note: finding.why.clone(),
        })
    }
}

fn workload(report: &PlanReport) -> String {
    let context = report.workload.max_model_len.map(|tokens| format!("{tokens} tokens"));
    let sequences = report.workload.max_num_seqs.map(|count| match count {
        1 => "one sequence at a time".to_owned(),
        count => format!("up to {count} sequences"),
    });
    [context, sequences, Some(format!("{} weights", report.workload.dtype))]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" · ")
}

fn bar(rank: &RankReport) -> Bar {
    let segment = |label: &str, bytes, hue| Segment { label: label.to_owned(), bytes, hue };
    let segments = vec![
        segment("weights", rank.weights_bytes, Hue::Blue),
        segment("KV cache", rank.kv_cache_bytes, Hue::Green),
        segment("activations", rank.activation_bytes, Hue::Orange),
        segment("CUDA graphs", rank.cuda_graph_bytes, Hue::Purple),
        segment("communication", rank.communication_bytes, Hue::Yellow),
        segment("allocator", rank.allocator_bytes, Hue::Sky),
        segment("CUDA context", rank.context_bytes, Hue::Grey),
        segment("other processes", rank.other_processes_bytes, Hue::Pale),
    ];
    let high = i128::from(rank.capacity_bytes.0) - i128::from(rank.headroom_bytes);
    let layers = if rank.layers.is_empty() { String::new() } else { format!(" · layers {}", rank.layers) };
    Bar {
        label: format!("rank {}", rank.rank),
        detail: format!("{}{layers}", rank.gpu),
        segments: segments.into_iter().filter(|segment| segment.bytes > Bytes::ZERO).collect(),
        capacity: Some(rank.capacity_bytes),
        budget: rank.budget_bytes,
        high: u64::try_from(high).ok().map(Bytes),
    }
}
