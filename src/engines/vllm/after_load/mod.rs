//! What vLLM's kernels change after the weights are in place (`process_weights_after_loading`).

mod at_load;
mod attention_scales;
mod chosen;
mod experts;
mod floats;
mod integers;
mod latent;
mod mxfp4;

use super::Release;
use crate::engines::Change;
use crate::hardware::Card;
use crate::model::{Model, Part, Quantization};
use crate::sharding::{Fill, RankTensor};
use crate::units::{ByteDelta, Bytes, DType};

pub use attention_scales::loaded_scales;
pub use chosen::as_chosen;
pub use experts::{expert_workspaces, experts_in_bytes, floors_groups};
pub use mxfp4::{expert_padding, with_the_fallback};

/// Signed changes between the constructed tensors and those that stay resident.
#[must_use]
pub fn changes(model: &Model, tensors: &[RankTensor], card: &Card, release: Release) -> Vec<Change> {
    let Some(quantization) = &model.quantization else { return Vec::new() };
    let kernels = Kernels { quantization, card, release };
    let mut tally = Tally::default();
    for module in tensors.chunk_by(|a, b| path(a) == path(b) && a.place == b.place) {
        kernels.module(&Built { tensors: module }, &mut tally);
    }
    tally.changes
}

/// The module that a tensor belongs to.
fn path(tensor: &RankTensor) -> &str {
    tensor.name.rsplit_once('.').map_or("", |(path, _)| path)
}

/// Which kernels run: by card and release.
struct Kernels<'a> {
    quantization: &'a Quantization,
    card: &'a Card,
    release: Release,
}

impl Kernels<'_> {
    fn module(&self, module: &Built<'_>, tally: &mut Tally) {
        attention_scales::drop_loaded(module, tally);
        latent::absorb(self, module, tally);
        if module.tensors.iter().any(|t| t.name.contains(".w13_") || t.name.contains(".w2_")) {
            experts::module(self, module, tally);
            return;
        }
        if self.quantization.at_load || self.quantization.method == "bitsandbytes" {
            at_load::module(self, module, tally);
        } else if module.tensor("qweight").is_some() || module.tensor("weight_shape").is_some() {
            integers::module(self, module, tally);
        } else if module.has_scales() {
            floats::module(self, module, tally);
        }
    }

    /// Whether the card's compute capability is at least this; unknown ones are taken for new.
    fn capable(&self, major: u32, minor: u32) -> bool {
        self.card.compute_capability.is_none_or(|own| own >= (major, minor))
    }

    /// Hopper, for which there are kernels that no other card runs.
    fn hopper(&self) -> bool {
        self.card.compute_capability.is_some_and(|(major, _)| major == 9)
    }
}

/// Marlin's lock words: one 32-bit word a multiprocessor.
fn marlin_workspace(card: &Card) -> u64 {
    // Known by size alone: 132 is the largest count among the cards with these kernels; the difference is some KiB.
    4 * u64::from(card.multiprocessors.unwrap_or(132))
}

/// The tensors of one module as built.
struct Built<'a> {
    tensors: &'a [RankTensor],
}

impl Built<'_> {
    fn tensor(&self, suffix: &str) -> Option<&RankTensor> {
        self.tensors.iter().find(|t| t.name.rsplit_once('.').map_or(t.name.as_str(), |(_, s)| s) == suffix)
    }

    fn has_scales(&self) -> bool {
        ["weight_scale", "weight_scale_inv"].iter().any(|suffix| self.tensor(suffix).is_some())
    }

    /// One size of a tensor; 0 when it has fewer dimensions.
    fn size(tensor: &RankTensor, dimension: usize) -> u64 {
        tensor.shape.get(dimension).copied().unwrap_or(0)
    }

    /// The same size in the files, before it is divided over ranks.
    fn whole_size(tensor: &RankTensor, dimension: usize) -> u64 {
        match &tensor.fill {
            Fill::Files(copies) => copies.first().and_then(|c| c.source.shape.get(dimension)).copied().unwrap_or(0),
            Fill::Generated | Fill::Alias(_) => Self::size(tensor, dimension),
        }
    }
}

/// Changes so far, one entry a kind and part.
#[derive(Default)]
struct Tally {
    changes: Vec<Change>,
}

impl Tally {
    /// Adds bytes at each place of a tensor.
    fn add(&mut self, what: &'static str, at: &RankTensor, each: i128) {
        self.part(what, at.part, each * i128::from(at.place.count()));
    }

    /// A tensor goes.
    fn remove(&mut self, what: &'static str, tensor: &RankTensor) {
        self.part(what, tensor.part, -i128::from(tensor.bytes().0));
    }

    /// A tensor is replaced by one of other size.
    fn replace(&mut self, what: &'static str, tensor: &RankTensor, elements: u64, dtype: DType) {
        let new = i128::from(dtype.size(elements).0) - i128::from(tensor.bytes_each().0);
        self.add(what, tensor, new);
    }

    fn part(&mut self, what: &'static str, part: Part, bytes: i128) {
        if bytes == 0 {
            return;
        }
        match self.changes.iter_mut().find(|c| c.what == what && c.part == part) {
            Some(change) => change.bytes.0 += bytes,
            None => self.changes.push(Change { what, part, bytes: ByteDelta(bytes) }),
        }
    }
}

/// Signed bytes.
fn signed(bytes: Bytes) -> i128 {
    i128::from(bytes.0)
}
