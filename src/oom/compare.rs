//! "It fitted yesterday": what two logs state differently, the largest difference in bytes first.

use std::collections::BTreeMap;

use super::Value;
use super::field::bytes;
use crate::units::ByteDelta;

/// Figures and settings of one log, by name.
pub type Stated = BTreeMap<String, Value>;

/// One thing that the two logs state differently.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Name, the unit as suffix.
    pub name: String,
    /// In this log; `None` where it does not say.
    pub here: Option<Value>,
    /// In the other log.
    pub there: Option<Value>,
    /// Here less there, where both are sizes.
    pub moved: Option<ByteDelta>,
}

/// Names that differ between any two runs and mean nothing.
const IDLE: &[&str] = &["pid", "pids", "task", "segment", "graph_capture_secs", "percent", "request_id", "bus", "rank"];
/// Sizes closer than this share of the larger are the same.
const SAME: f64 = 0.005;

/// What differs. Sizes that moved come first, the largest move before the others; then settings; then what only one log states.
#[must_use]
pub fn compare(here: &Stated, there: &Stated) -> Vec<Difference> {
    let mut names: Vec<&String> = here.keys().chain(there.keys()).filter(|n| !IDLE.contains(&n.as_str())).collect();
    names.sort();
    names.dedup();
    let mut list: Vec<Difference> =
        names.into_iter().filter_map(|name| difference(name, here.get(name), there.get(name))).collect();
    list.sort_by_key(|d| {
        let both = d.here.is_some() && d.there.is_some();
        (std::cmp::Reverse(d.moved.map_or(0, |m| m.magnitude().0)), !both)
    });
    list
}

fn difference(name: &str, here: Option<&Value>, there: Option<&Value>) -> Option<Difference> {
    let number = |value: Option<&Value>| value.and_then(Value::number);
    let moved = match (number(here), number(there)) {
        (Some(a), Some(b)) => {
            if (a - b).abs() <= SAME * a.abs().max(b.abs()) {
                return None;
            }
            bytes(name, a).zip(bytes(name, b)).map(|(a, b)| a.delta(b))
        }
        _ if here == there => return None,
        _ => None,
    };
    Some(Difference { name: name.to_owned(), here: here.cloned(), there: there.cloned(), moved })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    #[test]
    fn the_largest_move_comes_first() {
        let stated =
            |list: &[(&str, f64)]| list.iter().map(|(n, v)| ((*n).to_owned(), Value::Number(*v))).collect::<Stated>();
        let yesterday =
            stated(&[("weights_gib", 14.25), ("graph_gib", 0.5), ("gpu_memory_utilization", 0.9), ("pid", 1.0)]);
        let today = stated(&[
            ("weights_gib", 14.26),
            ("graph_gib", 2.5),
            ("gpu_memory_utilization", 0.92),
            ("pid", 2.0),
            ("gpu_blocks", 0.0),
        ]);
        let found = compare(&today, &yesterday);
        assert_eq!(
            found.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(),
            ["graph_gib", "gpu_memory_utilization", "gpu_blocks"]
        );
        assert_eq!(found[0].moved.map(ByteDelta::magnitude), Some(Bytes::gib(2)));
        assert!(compare(&today, &today).is_empty());
    }
}
