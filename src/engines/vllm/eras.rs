//! Which rules hold for a version.

use std::sync::LazyLock;

use super::flags::OLD_CORE;
use crate::engines::{EngineError, Settings, Version};
use crate::hardware::Card;
use crate::profiles::{VllmEra, vllm_profile};

/// An era with its versions read.
struct Era {
    first: Version,
    exact: Vec<Version>,
    constants: &'static VllmEra,
}

/// Eras, oldest first; empty when the profile is malformed, which a test rules out.
static ERAS: LazyLock<Vec<Era>> = LazyLock::new(|| {
    let eras = vllm_profile().map(|p| p.eras.as_slice()).unwrap_or_default();
    let read = |constants: &'static VllmEra| {
        let exact = constants.exact.iter().filter_map(|v| Version::read(v)).collect();
        Some(Era { first: Version::read(&constants.first)?, exact, constants })
    };
    eras.iter().filter_map(read).collect()
});

/// The newest version that the constants are for.
static NEWEST: LazyLock<Option<Version>> = LazyLock::new(|| vllm_profile().ok().and_then(|p| Version::read(&p.newest)));

fn at(version: Version) -> Option<&'static Era> {
    ERAS.iter().rev().find(|era| era.first <= version).or_else(|| ERAS.first())
}

/// The newest version.
pub fn newest() -> Version {
    NEWEST.unwrap_or(Version::new(0, 33, 0))
}

/// The constants for a version on a card; versions before the first era take the first.
///
/// While the engine's old core was still there, it ran when it was asked for and on cards that the new one did not support, by the last
/// rules it had.
///
/// # Errors
/// When the profile is malformed.
pub fn era(version: Version, card: &Card, settings: &Settings) -> Result<&'static VllmEra, EngineError> {
    let malformed = || EngineError::Unknown("the profile of vLLM is malformed".to_owned());
    let constants = at(version).ok_or_else(malformed)?.constants;
    let Some(bound) = constants.v0_below else { return Ok(constants) };
    let asked = settings.engine_flags.get(OLD_CORE).is_some_and(|text| text == "0");
    if !asked && card.compute_capability.is_none_or(|(major, _)| major >= bound) {
        return Ok(constants);
    }
    let old = ERAS.iter().rev().find(|era| era.first <= version && era.constants.scheduler.whole_prompts);
    Ok(old.map_or(constants, |era| era.constants))
}

/// How far the rules for a version are proven: `None` when its answers were checked exactly.
pub fn caveat(version: Version) -> Option<String> {
    let era = at(version)?;
    if era.exact.contains(&version) {
        return None;
    }
    if version > newest() {
        return Some(format!("vLLM {version} is newer than the newest known, {}; planned by its rules", newest()));
    }
    let proven: Vec<String> = ERAS.iter().flat_map(|e| &e.exact).map(Version::to_string).collect();
    let unproven = if era.first >= Version::new(0, 28, 0) { "; its budget is unproven until measured" } else { "" };
    Some(format!("vLLM {version} is planned by formula{unproven} (checked exactly: {})", proven.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::gpus::GpuCatalogue;

    fn card(name: &str) -> Card {
        Card::of_profile(&GpuCatalogue::built_in().select(name).unwrap())
    }

    #[test]
    fn every_version_has_an_era() {
        let first = |version: &str, gpu: &str| {
            era(version.parse().unwrap(), &card(gpu), &Settings::default()).unwrap().first.as_str()
        };
        assert_eq!(first("0.1.0", "H100"), "0.2.0");
        assert_eq!(first("0.6.3", "H100"), "0.2.0");
        assert_eq!(first("0.6.5", "H100"), "0.6.4");
        assert_eq!(first("0.7.3", "H100"), "0.6.6");
        assert_eq!(first("0.8.5", "H100"), "0.8.0");
        assert_eq!(first("0.8.5", "T4"), "0.6.6");
        assert_eq!(first("0.11.2", "T4"), "0.11.0");
        assert_eq!(first("0.10.2", "H100"), "0.9.2");
        assert_eq!(first("0.25.1", "H100"), "0.21.0");
        assert_eq!(first("0.99.0", "H100"), "0.28.0");
        let mut old = Settings::default();
        old.engine_flags.insert(OLD_CORE.to_owned(), "0".to_owned());
        assert_eq!(era("0.8.5".parse().unwrap(), &card("H100"), &old).unwrap().first, "0.6.6");
        assert_eq!(era("0.11.0".parse().unwrap(), &card("H100"), &old).unwrap().first, "0.11.0");
        assert_eq!(ERAS.len(), vllm_profile().unwrap().eras.len());
    }

    #[test]
    fn what_is_proven_needs_no_caveat() {
        for version in ["0.11.2", "0.25.1"] {
            assert_eq!(caveat(version.parse().unwrap()), None);
        }
        assert!(caveat("0.33.0".parse().unwrap()).unwrap().contains("unproven until measured"));
        assert!(caveat("0.34.0".parse().unwrap()).unwrap().contains("newer than the newest known"));
    }
}
