//! The processes of all cards as one list.

use crate::hardware::Reading;
use crate::units::Bytes;

use super::{CardId, CardUsage, OWN_NAME};

/// One process on one card, as it stands in a sample; a process on four cards has four rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessRow<'a> {
    /// Where it holds memory.
    pub card: CardId,
    /// Process id in the host's namespace.
    pub pid: u32,
    /// Owner.
    pub user: Option<&'a str>,
    /// Short name; `None` when the process is not visible from here.
    pub name: Option<&'a str>,
    /// Command line.
    pub command: Option<&'a str>,
    /// Memory it holds there.
    pub used: Reading<Bytes>,
    /// An engine's worker whose parent is gone.
    pub orphan: bool,
    /// A process of this tool.
    pub own: bool,
}

impl<'a> ProcessRow<'a> {
    /// The processes of one card.
    pub fn of(card: &'a CardUsage) -> impl Iterator<Item = Self> {
        let processes = card.processes.as_ref().known().map_or(&[][..], Vec::as_slice);
        processes.iter().map(|process| Self {
            card: card.id,
            pid: process.pid,
            user: process.user.as_deref(),
            name: process.name.as_deref(),
            command: process.command.as_deref(),
            used: process.used,
            orphan: process.orphan,
            own: process.name.as_deref() == Some(OWN_NAME),
        })
    }

    /// Whether user, name, command or number holds `wanted`, which is in lower case.
    #[must_use]
    pub fn contains(&self, wanted: &str) -> bool {
        let texts = [self.user, self.name, self.command];
        texts.into_iter().flatten().any(|text| text.to_lowercase().contains(wanted))
            || self.pid.to_string().contains(wanted)
    }

    /// The part of a model that an engine's worker says it holds: `TP0`, `PP1 TP3`. Engines name their workers so
    /// (vLLM `VLLM::Worker_PP0_TP1`, SGLang `sglang::scheduler_TP1`).
    #[must_use]
    pub fn shard(&self) -> Option<String> {
        let title = self.command.or(self.name)?.split(' ').next()?;
        if !(title.starts_with("VLLM::") || title.starts_with("sglang::")) {
            return None;
        }
        let is_degree = |word: &str| {
            let number = ["TP", "PP", "DP", "EP"].iter().find_map(|degree| word.strip_prefix(degree));
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let words: Vec<&str> = title.split('_').filter(|word| is_degree(word)).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// What tells this row from all others, also in the next sample.
    #[must_use]
    pub const fn key(&self) -> (CardId, u32) {
        (self.card, self.pid)
    }
}

/// Which column orders the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortOrder {
    /// Largest memory first; unknown last.
    #[default]
    Memory,
    /// By card, then memory.
    Card,
    /// By process id.
    Pid,
    /// By owner, then memory.
    User,
    /// By name, then memory.
    Name,
}

impl SortOrder {
    /// The order after this one, round and round.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Memory => Self::Card,
            Self::Card => Self::Pid,
            Self::Pid => Self::User,
            Self::User => Self::Name,
            Self::Name => Self::Memory,
        }
    }

    /// For titles: `memory`, `card`, ….
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Card => "card",
            Self::Pid => "pid",
            Self::User => "user",
            Self::Name => "name",
        }
    }
}

/// Puts rows in order. Ties end at card and pid, so that equal rows do not swap places between samples.
pub fn sort(rows: &mut [ProcessRow<'_>], order: SortOrder) {
    rows.sort_unstable_by(|a, b| {
        let memory = || b.used.known().cmp(&a.used.known());
        // Unknown owners and names go last.
        let text = |a: Option<&str>, b: Option<&str>| (a.is_none(), a).cmp(&(b.is_none(), b));
        let first = match order {
            SortOrder::Memory => memory(),
            SortOrder::Card => a.card.cmp(&b.card).then_with(memory),
            SortOrder::Pid => a.pid.cmp(&b.pid),
            SortOrder::User => text(a.user, b.user).then_with(memory),
            SortOrder::Name => text(a.name, b.name).then_with(memory),
        };
        first.then_with(|| a.key().cmp(&b.key()))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(card: u32, pid: u32, user: Option<&'a str>, name: Option<&'a str>, gib: Option<u64>) -> ProcessRow<'a> {
        ProcessRow {
            card: CardId { index: card, instance: None },
            pid,
            user,
            name,
            command: None,
            used: gib.map_or(Reading::Unsupported, |gib| Reading::Known(Bytes::gib(gib))),
            orphan: false,
            own: false,
        }
    }

    #[test]
    fn each_order_sorts_by_its_column() {
        let rows = [
            row(1, 30, Some("bo"), Some("python"), Some(4)),
            row(0, 10, None, None, Some(9)),
            row(0, 20, Some("ann"), Some("vllm"), None),
            row(1, 40, Some("ann"), Some("java"), Some(4)),
        ];
        let cases = [
            (SortOrder::Memory, [10, 30, 40, 20]),
            (SortOrder::Card, [10, 20, 30, 40]),
            (SortOrder::Pid, [10, 20, 30, 40]),
            (SortOrder::User, [40, 20, 30, 10]),
            (SortOrder::Name, [40, 30, 20, 10]),
        ];
        for (order, pids) in cases {
            let mut sorted = rows;
            sort(&mut sorted, order);
            assert_eq!(sorted.each_ref().map(|r| r.pid), pids, "{order:?}");
        }
    }

    #[test]
    fn workers_say_which_shard_they_hold() {
        let shard = |command| ProcessRow { command: Some(command), ..row(0, 1, None, None, None) }.shard();
        assert_eq!(shard("VLLM::Worker_TP3").as_deref(), Some("TP3"));
        assert_eq!(shard("VLLM::Worker_PP1_TP0").as_deref(), Some("PP1 TP0"));
        assert_eq!(shard("sglang::scheduler_DP0_TP2 --x").as_deref(), Some("DP0 TP2"));
        for other in ["VLLM::EngineCore", "python3 TP0", "VLLM::Worker_TP", "VLLM::Worker_TPx", ""] {
            assert_eq!(shard(other), None, "{other}");
        }
    }

    #[test]
    fn a_filter_looks_at_user_name_command_and_number() {
        let row = row(0, 4711, Some("Ann"), Some("python3"), None);
        for (wanted, found) in [("ann", true), ("pyth", true), ("471", true), ("vllm", false), ("", true)] {
            assert_eq!(row.contains(wanted), found, "{wanted}");
        }
    }

    #[test]
    fn the_orders_go_round() {
        let mut order = SortOrder::default();
        for _ in 0..5 {
            order = order.next();
        }
        assert_eq!(order, SortOrder::default());
    }
}
