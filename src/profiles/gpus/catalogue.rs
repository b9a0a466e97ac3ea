//! All cards at hand, and how a name finds one.

use super::embedded::PROFILES;
use super::{GpuMemory, GpuProfile, GpuProfileError, file};
use crate::profiles::nearest::nearest;
use crate::units::Bytes;

/// The built-in card profiles and those a directory adds.
#[derive(Debug, Clone, Default)]
pub struct GpuCatalogue {
    added: Vec<GpuProfile>,
}

/// A name that does not lead to one card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectGpuError {
    /// No profile has this id, name or alias.
    #[error("`{name}` is no card that is known here{}", did_you_mean(nearest))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Ids that look like it, best first.
        nearest: Vec<String>,
    },
    /// Several profiles share the name.
    #[error("`{name}` could be {}: name one of them", candidates.join(" or "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Ids of the cards it may mean.
        candidates: Vec<String>,
    },
    /// A profile does not parse.
    #[error(transparent)]
    Profile(#[from] GpuProfileError),
}

fn did_you_mean(nearest: &[String]) -> String {
    match nearest {
        [] => "; a size such as `24GiB` works for any card".to_owned(),
        names => format!(": did you mean {}?", names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
    }
}

impl GpuCatalogue {
    /// The profiles built in.
    #[must_use]
    pub const fn built_in() -> Self {
        Self { added: Vec::new() }
    }

    /// The profiles built in and further ones, given as (file name, TOML). One with the id of a built-in card takes its place.
    ///
    /// # Errors
    /// When one of the texts does not parse.
    pub fn with_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, GpuProfileError> {
        let mut added = Vec::new();
        for (name, text) in texts {
            added.extend(file::parse(name, text)?);
        }
        Ok(Self { added })
    }

    /// The card called `name`: an id, a product name or an alias, whatever the case, with spaces, dashes and underscores taken alike and
    /// without regard to a leading `NVIDIA`, `GeForce` or `Tesla`. Never a part of a name. Its memory may stand behind it: `RTX 3090 24GB`.
    ///
    /// # Errors
    /// When no card or more than one has that name.
    pub fn select(&self, name: &str) -> Result<GpuProfile, SelectGpuError> {
        let key = normalise(name);
        // Ids are unique and no card is called by another's id (a test sees to it), so a plain id needs one file, not all of them.
        if self.added.is_empty()
            && let Some((stem, text)) = PROFILES.iter().find(|(stem, _)| normalise(stem) == key)
            && let Some(card) = file::parse(stem, text)?.into_iter().next()
        {
            return Ok(card);
        }
        let all = self.all()?;
        let mut called: Vec<&GpuProfile> = all.iter().filter(|profile| profile.answers_to(&key)).collect();
        if let ([], Some((rest, size))) = (&called[..], with_size(name)) {
            let rest = normalise(rest);
            let has_size = |p: &&GpuProfile| p.slice_of.is_none() && p.memory.may_be_sold_as(Bytes::gib(size));
            called = all.iter().filter(|p| p.answers_to(&rest)).filter(has_size).collect();
        }
        let mut matches = called.into_iter();
        match (matches.next(), matches.next()) {
            (Some(one), None) => Ok(one.clone()),
            (Some(first), Some(second)) => {
                let candidates = [first, second].into_iter().chain(matches).map(|p| p.id.clone()).collect();
                Err(SelectGpuError::Ambiguous { name: name.to_owned(), candidates })
            }
            (None, _) => {
                let near = nearest(name, all.iter().filter(|p| p.slice_of.is_none()).map(|p| p.id.as_str()), 3);
                Err(SelectGpuError::Unknown {
                    name: name.to_owned(),
                    nearest: near.into_iter().map(str::to_owned).collect(),
                })
            }
        }
    }

    /// The profile of a card that a driver named, exactly as the driver writes it; among kinds of one name the one whose NVML total is
    /// nearest to `nvml_total`.
    #[must_use]
    pub fn by_driver_name(&self, name: &str, nvml_total: Option<Bytes>) -> Option<GpuProfile> {
        // Only files that hold the name are worth parsing; a slice's name begins with its card's.
        let card_name = name.split(" MIG ").next().unwrap_or(name);
        let quoted = format!("\"{card_name}\"");
        let built_in = PROFILES
            .iter()
            .filter(|(_, text)| text.contains(&quoted))
            .filter_map(|(stem, text)| file::parse(stem, text).ok())
            .flatten()
            .filter(|profile| !self.replaces(profile));
        let distance = |profile: &GpuProfile| match (profile.memory.nvml_total, nvml_total) {
            (Some(a), Some(b)) => (a - b).magnitude(),
            _ => Bytes::ZERO,
        };
        self.added.iter().cloned().chain(built_in).filter(|p| p.names.iter().any(|n| n == name)).min_by_key(distance)
    }

    /// Every profile, MIG slices behind their card, built-in ones in the order of their registration and added ones last.
    ///
    /// # Errors
    /// When a profile does not parse; the built-in ones do.
    pub fn all(&self) -> Result<Vec<GpuProfile>, GpuProfileError> {
        let mut all = Vec::new();
        for (stem, text) in PROFILES {
            all.extend(file::parse(stem, text)?.into_iter().filter(|profile| !self.replaces(profile)));
        }
        all.extend(self.added.iter().cloned());
        Ok(all)
    }

    fn replaces(&self, profile: &GpuProfile) -> bool {
        self.added.iter().any(|a| a.id == profile.id || Some(&a.id) == profile.slice_of.as_ref())
    }
}

impl GpuProfile {
    fn answers_to(&self, key: &str) -> bool {
        std::iter::once(&self.id).chain(&self.names).chain(&self.aliases).any(|name| normalise(name) == key)
    }
}

impl GpuMemory {
    /// Whether a card that is said to have so much may be this one: the driver and error correction take up to a ninth, and names round.
    pub(crate) fn may_be_sold_as(&self, size: Bytes) -> bool {
        (size.0 / 9 * 8..=size.0 / 32 * 33).contains(&self.cuda_total.0)
    }
}

/// The size behind a name: `RTX 3090 24GB` → (`RTX 3090`, 24), `A100 (80 GB)` → (`A100`, 80).
fn with_size(name: &str) -> Option<(&str, u64)> {
    let name = name.trim_end().trim_end_matches(')');
    let number = name.trim_end_matches(|c: char| matches!(c.to_ascii_lowercase(), 'g' | 'i' | 'b')).trim_end();
    let rest = number.trim_end_matches(|c: char| c.is_ascii_digit());
    let size = number[rest.len()..].parse().ok()?;
    let card = rest.trim_end_matches([' ', '-', '_', '(']);
    (number.len() < name.len() && card.len() < rest.len()).then_some((card, size))
}

/// A name as it is compared: lower case, without separators and without the vendor's prefixes.
pub(super) fn normalise(name: &str) -> String {
    let plain: String =
        name.chars().filter(|c| !matches!(c, ' ' | '-' | '_' | '\t')).flat_map(char::to_lowercase).collect();
    let mut rest = plain.as_str();
    for prefix in ["nvidia", "geforce", "tesla"] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    rest.to_owned()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests compare the registered profiles with the folder")]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::units::Basis;

    fn all() -> Vec<GpuProfile> {
        GpuCatalogue::built_in().all().unwrap()
    }

    #[test]
    fn every_file_is_registered() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/gpus");
        let files: BTreeSet<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        let registered: BTreeSet<String> = PROFILES.iter().map(|(stem, _)| format!("{stem}.toml")).collect();
        assert_eq!(files, registered, "add the file's stem to src/profiles/gpus/embedded.rs");
        assert_eq!(registered.len(), PROFILES.len(), "a stem is registered twice");
    }

    #[test]
    fn every_profile_is_plausible() {
        for (stem, text) in PROFILES {
            let profiles = file::parse(stem, text).unwrap();
            assert_eq!(profiles[0].id.to_lowercase(), *stem, "the file is named after the id");
        }
        for p in all() {
            let memory = &p.memory;
            assert!(memory.cuda_total >= Bytes::gib(4) && memory.cuda_total <= Bytes::gib(300), "{}", p.id);
            // What drivers reserve: 120 MiB (old consumer drivers) to 9.2 GiB on 300 GB cards, never more than 5 %.
            if let Some(total) = memory.nvml_total {
                assert!(memory.cuda_total.0 as f64 / total.0 as f64 > 0.94, "{}", p.id);
            }
            assert!(p.memory.source.len() > 10 && p.compute_source.len() > 5, "{}", p.id);
            assert!((8..=200).contains(&p.multiprocessors), "{}", p.id);
            assert!(super::super::threads_per_multiprocessor(p.compute_capability).is_some(), "{}", p.id);
            assert!(p.pci_device_ids.iter().all(|id| id.len() == 4 && u16::from_str_radix(id, 16).is_ok()), "{}", p.id);
            assert!(matches!(memory.basis, Basis::Profile | Basis::Assumed));
            assert_eq!(memory.shared_pool, memory.nvml_total.is_none() && p.slice_of.is_none(), "{}", p.id);
            if let Some(context) = &p.context {
                assert!(context.high <= Bytes::gib(1) && !context.source.is_empty(), "{}", p.id);
            }
        }
        assert!(all().iter().filter(|p| p.slice_of.is_none()).count() >= 45);
    }

    #[test]
    fn slices_are_parts_of_their_card() {
        let all = all();
        let by_id: BTreeMap<&str, &GpuProfile> = all.iter().map(|p| (p.id.as_str(), p)).collect();
        for slice in all.iter().filter(|p| p.slice_of.is_some()) {
            let card = by_id[slice.slice_of.as_deref().unwrap()];
            assert!(slice.multiprocessors <= card.multiprocessors, "{}", slice.id);
            assert!(slice.memory.cuda_total <= card.memory.cuda_total, "{}", slice.id);
            assert_eq!(slice.compute_capability, card.compute_capability);
        }
        assert!(all.iter().filter(|p| p.slice_of.is_some()).count() >= 30);
    }

    #[test]
    fn ids_are_unique_and_nobody_elses_name() {
        let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let all = all();
        for p in &all {
            for name in std::iter::once(&p.id).chain(&p.names).chain(&p.aliases) {
                owners.entry(normalise(name)).or_default().insert(p.id.clone());
            }
        }
        for p in &all {
            assert_eq!(owners[&normalise(&p.id)].len(), 1, "{} is also called {:?}", p.id, owners[&normalise(&p.id)]);
        }
        // The shared names are few and on purpose: one word for cards that differ in memory.
        let shared: Vec<_> =
            owners.iter().filter(|(n, o)| o.len() > 1 && !n.contains("mig")).map(|(n, _)| n.as_str()).collect();
        assert_eq!(
            shared,
            ["3080", "a100", "gh200", "jetsonorin", "orin", "rtx3080", "v100"],
            "a name for two cards must be meant"
        );
    }

    #[test]
    fn names_find_their_card() {
        let cards = GpuCatalogue::built_in();
        for (name, id) in [
            ("A10", "A10"),
            ("a10", "A10"),
            ("NVIDIA A10", "A10"),
            ("A100-80GB", "A100-80GB"),
            ("a100 80gb", "A100-80GB"),
            ("a100_80", "A100-80GB"),
            ("A100-SXM4-80GB", "A100-80GB"),
            ("NVIDIA A100 80GB PCIe", "A100-80GB-PCIe"),
            ("Tesla T4", "T4"),
            ("3090", "RTX-3090"),
            ("RTX 3090", "RTX-3090"),
            ("NVIDIA GeForce RTX 3090", "RTX-3090"),
            ("geforce rtx 4090", "RTX-4090"),
            ("H100", "H100"),
            ("NVIDIA H100 80GB HBM3", "H100"),
            ("dgx-spark", "GB10"),
            ("A100-40GB-MIG-1g.5gb", "A100-40GB-MIG-1g.5gb"),
            ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "A100-80GB-MIG-1g.10gb"),
            // With the size it is sold with, or has.
            ("RTX 3090 24GB", "RTX-3090"),
            ("A100-80G", "A100-80GB"),
            ("A100 (40 GB)", "A100-40GB"),
            ("T4 16GB", "T4"),
            ("L4 22GB", "L4"),
            ("L40 45GB", "L40"),
            ("a10g 24 gib", "A10G"),
        ] {
            assert_eq!(cards.select(name).map(|p| p.id), Ok(id.to_owned()), "{name}");
        }
    }

    #[test]
    fn a_shared_name_asks_back() {
        let error = GpuCatalogue::built_in().select("A100").unwrap_err();
        assert_eq!(error.to_string(), "`A100` could be A100-40GB or A100-80GB: name one of them");
        let error = GpuCatalogue::built_in().select("MIG 1g.18gb").unwrap_err();
        assert!(matches!(error, SelectGpuError::Ambiguous { candidates, .. } if candidates.len() == 2));
    }

    #[test]
    fn unknown_names_get_suggestions() {
        let cards = GpuCatalogue::built_in();
        let error = cards.select("A100-90G").unwrap_err();
        assert!(
            error.to_string().starts_with("`A100-90G` is no card that is known here: did you mean `A100-"),
            "{error}"
        );
        // Another size than the card's is another card.
        assert!(matches!(cards.select("H100 96GB"), Err(SelectGpuError::Unknown { .. })));
        // A part of a name is not the name.
        assert!(matches!(cards.select("A10-"), Ok(p) if p.id == "A10"));
        for name in ["A1", "RTX", "", "-", "NVIDIA", "MI300X"] {
            assert!(matches!(cards.select(name), Err(SelectGpuError::Unknown { .. })), "{name}");
        }
    }

    #[test]
    fn driver_names_are_exact_and_totals_decide() {
        let cards = GpuCatalogue::built_in();
        let find = |name: &str, mib| cards.by_driver_name(name, Some(Bytes::mib(mib))).map(|p| p.id);
        assert_eq!(find("NVIDIA GeForce RTX 3080", 10240).as_deref(), Some("RTX-3080-10GB"));
        assert_eq!(find("NVIDIA GeForce RTX 3080", 12288).as_deref(), Some("RTX-3080-12GB"));
        assert_eq!(find("NVIDIA H200 MIG 1g.18gb", 16384).as_deref(), Some("H200-MIG-1g.18gb"));
        assert_eq!(find("nvidia a10", 23028), None);
        assert_eq!(find("NVIDIA A1", 23028), None);
        assert_eq!(cards.by_driver_name("NVIDIA GB10", None).map(|p| p.id).as_deref(), Some("GB10"));
    }

    #[test]
    fn a_directory_adds_and_replaces() {
        let text = PROFILES.iter().find(|(stem, _)| *stem == "a10").unwrap().1;
        let own = text.replace("id = \"A10\"", "id = \"A10-LAB\"").replace("[\"NVIDIA A10\"]", "[\"NVIDIA A10 LAB\"]");
        let own = own.replace("A10-24GB", "lab");
        let tight = text.replace("21.98 GiB", "20 GiB");
        let cards = GpuCatalogue::with_texts([("own.toml", own.as_str()), ("a10.toml", tight.as_str())]).unwrap();
        assert_eq!(cards.select("lab").unwrap().id, "A10-LAB");
        assert_eq!(cards.select("a10").unwrap().memory.cuda_total, Bytes::gib(20));
        assert_eq!(cards.by_driver_name("NVIDIA A10", None).unwrap().memory.cuda_total, Bytes::gib(20));
        assert_eq!(cards.select("l4").unwrap().id, "L4");
        assert!(GpuCatalogue::with_texts([("bad.toml", "id = 3")]).is_err());
    }
}
