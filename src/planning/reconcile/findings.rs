//! What the accounts of several cards say when they are laid side by side, in words.

use super::{GRANULARITY, Seen};
use crate::hardware::CardState;
use crate::units::{Bytes, Fraction};

/// A process that is not ours and holds memory on a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Process id, in NVML's namespace.
    pub pid: u32,
    /// Short name, where it can be seen from here.
    pub name: Option<String>,
    /// Bytes on the card, where NVML tells.
    pub bytes: Option<Bytes>,
    /// An engine's worker whose engine is gone.
    pub orphan: bool,
}

impl Holder {
    fn words(&self) -> String {
        let mut words = format!("pid {}", self.pid);
        if let Some(name) = &self.name {
            words = format!("{words} {name}");
        }
        if self.orphan {
            words.push_str(", whose engine is gone");
        }
        match self.bytes {
            Some(bytes) => format!("{words} ({bytes})"),
            None => words,
        }
    }
}

/// One card's account over a load.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CardAccount {
    /// The card: `cuda:0`.
    pub device: String,
    /// What the plan put on it: cards with the same should hold the same.
    pub planned: Bytes,
    /// CUDA total by the driver.
    pub driver_total: Option<Bytes>,
    /// CUDA total by NVML: its total less what is reserved.
    pub nvml_total: Option<Bytes>,
    /// Before we came.
    pub before: Seen,
    /// When everything was on it.
    pub peak: Seen,
    /// After we had gone.
    pub released: Seen,
    /// Who held memory before we came.
    pub holders_before: Vec<Holder>,
    /// Who else held memory when everything was on it.
    pub holders_peak: Vec<Holder>,
}

/// What a reader should know of the cards of a load, worst first within a card.
#[must_use]
pub fn findings(cards: &[CardAccount], tolerance: Fraction) -> Vec<String> {
    let mut found = Vec::new();
    for card in cards {
        found.extend(totals(card));
        found.extend(baseline(card));
        found.extend(imbalance(card, cards, tolerance));
        found.extend(left_behind(card));
    }
    found
}

/// NVML's total against the driver's.
fn totals(card: &CardAccount) -> Option<String> {
    let (driver, nvml) = (card.driver_total?, card.nvml_total?);
    let differ = driver.delta(nvml).magnitude() > GRANULARITY;
    differ.then(|| {
        let device = &card.device;
        format!("{device}: the driver counts {driver} and NVML {nvml}; a plan must divide the driver's")
    })
}

/// Who was there before us.
fn baseline(card: &CardAccount) -> Option<String> {
    let used = card.before.nvml.filter(|used| *used > CardState::OWN_USE)?;
    let device = &card.device;
    if card.holders_before.is_empty() {
        return Some(format!("{device} held {used} before we came, by nobody who can be seen from here"));
    }
    Some(format!("{device} held {used} before we came: {}", words(&card.holders_before)))
}

/// More than the least of the cards that should hold the same.
fn imbalance(card: &CardAccount, cards: &[CardAccount], tolerance: Fraction) -> Option<String> {
    let used = card.peak.nvml?;
    let peers = cards.iter().filter(|other| other.planned == card.planned && other.driver_total == card.driver_total);
    let least = peers.filter_map(|other| Some((other.peak.nvml?, other.peak.own))).min_by_key(|(used, _)| *used)?;
    let more = used.saturating_sub(least.0);
    if more <= tolerance.of(used).max(CardState::OWN_USE) {
        return None;
    }
    let ours = card.peak.own.zip(least.1).map(|(own, peers)| own.saturating_sub(peers));
    let whose = match ours {
        Some(ours) if ours > more.saturating_sub(CardState::OWN_USE) => "ours".to_owned(),
        _ if card.holders_peak.is_empty() => "not ours, by nobody who can be seen from here".to_owned(),
        _ => format!("not ours: {}", words(&card.holders_peak)),
    };
    Some(format!("{} holds {more} more than its peers: {whose}", card.device))
}

/// Memory that others did not take and we did not give back.
fn left_behind(card: &CardAccount) -> Option<String> {
    let more = card.released.others()?.saturating_sub(card.before.others()?);
    let ours = card.released.own.filter(|own| *own > Bytes::ZERO);
    match ours {
        Some(ours) => Some(format!("{} still counts {ours} as ours after the load", card.device)),
        None if more > CardState::OWN_USE => Some(format!("others took {more} on {} while the load ran", card.device)),
        None => None,
    }
}

fn words(holders: &[Holder]) -> String {
    holders.iter().map(Holder::words).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(number: u32, others: u64) -> CardAccount {
        let seen = |own: u64| Seen { driver: None, nvml: Some(Bytes::mib(own + others)), own: Some(Bytes::mib(own)) };
        CardAccount {
            device: format!("cuda:{number}"),
            planned: Bytes::gib(10),
            driver_total: Some(Bytes::gib(22)),
            nvml_total: Some(Bytes::gib(22)),
            before: seen(0),
            peak: seen(10_480),
            released: seen(0),
            ..CardAccount::default()
        }
    }

    fn python(bytes: u64) -> Vec<Holder> {
        vec![Holder { pid: 4242, name: Some("python".into()), bytes: Some(Bytes::mib(bytes)), orphan: false }]
    }

    #[test]
    fn equal_cards_are_not_worth_a_word() {
        let cards = [card(0, 3), card(1, 10), card(2, 0)];
        assert_eq!(findings(&cards, Fraction::new(0.02).unwrap()), Vec::<String>::new());
    }

    #[test]
    fn who_holds_more_is_named() {
        let other = CardAccount { holders_before: python(3182), holders_peak: python(3182), ..card(3, 3182) };
        let found = findings(&[card(0, 0), card(1, 0), other], Fraction::new(0.02).unwrap());
        assert_eq!(
            found,
            [
                "cuda:3 held 3.11 GiB before we came: pid 4242 python (3.11 GiB)",
                "cuda:3 holds 3.11 GiB more than its peers: not ours: pid 4242 python (3.11 GiB)",
            ]
        );
    }

    #[test]
    fn totals_and_what_stays_are_told() {
        let odd = CardAccount {
            nvml_total: Some(Bytes::gib(23)),
            released: Seen { own: Some(Bytes::mib(240)), ..card(0, 0).released },
            ..card(0, 0)
        };
        let found = findings(&[odd], Fraction::new(0.02).unwrap());
        assert!(found[0].contains("the driver counts 22.00 GiB and NVML 23.00 GiB"), "{found:?}");
        assert!(found[1].contains("still counts 240 MiB as ours"), "{found:?}");
        let unseen = findings(&[card(0, 900)], Fraction::new(0.02).unwrap());
        assert!(unseen[0].ends_with("by nobody who can be seen from here"), "{unseen:?}");
    }
}
