//! What need not be asked again in the next sample.

use std::collections::HashMap;

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

use super::nvlink::NvLink;
use super::processes::Lengths;
use super::readings::reading;
use crate::hardware::Reading;

/// What was told of each card, by UUID: indices and handles may mean another card after one has fallen off the bus.
#[derive(Debug, Default)]
pub(super) struct Facts {
    cards: HashMap<String, CardFacts>,
    /// For cards that do not tell who they are.
    nameless: CardFacts,
}

/// What was told of a card.
#[derive(Debug, Default)]
pub(super) struct CardFacts {
    pub name: Fact<String>,
    pub pci_bus_id: Fact<String>,
    pub compute_capability: Fact<(u32, u32)>,
    /// Whether the card can be partitioned at all.
    pub mig_unsupported: bool,
    pub processes: Lengths,
    pub nvlink: NvLink,
}

impl Facts {
    /// Cards remembered; more than any machine has.
    const MOST: usize = 1024;

    /// What is known of the card with this UUID.
    pub fn of(&mut self, uuid: &Reading<String>) -> &mut CardFacts {
        match uuid {
            Reading::Known(uuid) => {
                if !self.cards.contains_key(uuid) {
                    if self.cards.len() == Self::MOST {
                        self.cards.clear();
                    }
                    self.cards.insert(uuid.clone(), CardFacts::default());
                }
                self.cards.get_mut(uuid).unwrap_or(&mut self.nameless)
            }
            _ => {
                self.nameless = CardFacts::default();
                &mut self.nameless
            }
        }
    }
}

/// A reading that never changes once it was told; a refusal is asked again.
#[derive(Debug)]
pub(super) struct Fact<T>(Option<T>);

impl<T> Default for Fact<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Clone> Fact<T> {
    /// The fact, asked of the device if it is not known yet.
    pub fn get(&mut self, ask: impl FnOnce() -> Reading<T>) -> Reading<T> {
        if let Some(value) = &self.0 {
            return Reading::Known(value.clone());
        }
        let answer = ask();
        self.0 = answer.as_ref().known().cloned();
        answer
    }
}

impl CardFacts {
    /// Compute capability, as CUDA numbers it.
    pub fn compute_capability(&mut self, device: &Device<'_>) -> Reading<(u32, u32)> {
        self.compute_capability.get(|| {
            reading(device.cuda_compute_capability().and_then(|told| {
                let number = |number: i32| u32::try_from(number).map_err(|_| NvmlError::Unknown);
                Ok((number(told.major)?, number(told.minor)?))
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_asked_until_they_are_told() {
        let mut fact = Fact::default();
        assert_eq!(fact.get(|| Reading::Denied), Reading::<u32>::Denied);
        assert_eq!(fact.get(|| Reading::Known(7)), Reading::Known(7));
        assert_eq!(fact.get(|| unreachable!("it is known")), Reading::Known(7));
    }

    #[test]
    fn cards_are_told_apart_by_who_they_are() {
        let mut facts = Facts::default();
        let of = |text: &str| Reading::Known(text.to_owned());
        facts.of(&of("a")).mig_unsupported = true;
        assert!(facts.of(&of("a")).mig_unsupported && !facts.of(&of("b")).mig_unsupported);
        facts.of(&Reading::Denied).mig_unsupported = true;
        assert!(!facts.of(&Reading::Denied).mig_unsupported, "two cards without a name are not one");
    }
}
