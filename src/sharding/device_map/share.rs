//! The tensors of a model, device by device.

use std::collections::BTreeMap;

use super::{Device, DeviceMap};
use crate::model::IndexSet;
use crate::sharding::{Fill, RankTensor, Where};

/// Divides the tensors of a whole model by a map, in the order of construction; tensors that no entry covers come apart.
///
/// A tied tensor that the map puts on another device than its partner becomes a copy of its own there.
#[must_use]
pub fn device_shares(tensors: &[RankTensor], map: &DeviceMap) -> (BTreeMap<Device, Vec<RankTensor>>, Vec<String>) {
    let mut shares: BTreeMap<Device, Vec<RankTensor>> = BTreeMap::new();
    let mut uncovered = Vec::new();
    for tensor in tensors {
        match &tensor.place {
            Where::Once => match map.device_of(&tensor.name) {
                Some(device) => {
                    let own = untied(tensor, device, tensors, map).unwrap_or_else(|| tensor.clone());
                    shares.entry(device).or_default().push(own);
                }
                // What is saved in no checkpoint need not be named.
                None if tensor.fill == Fill::Generated => {}
                None => uncovered.push(tensor.name.clone()),
            },
            // Maps place whole decoder layers, so all experts of a layer are where the layer is.
            Where::Layers(layers) | Where::Experts { layers, .. } => {
                let mut by_device: BTreeMap<Device, Vec<u32>> = BTreeMap::new();
                for layer in layers.iter() {
                    let name = tensor.name.replacen("{}", &layer.to_string(), 1);
                    match map.device_of(&name) {
                        Some(device) => by_device.entry(device).or_default().push(layer),
                        None if tensor.fill == Fill::Generated => {}
                        None => uncovered.push(name),
                    }
                }
                for (device, layers) in by_device {
                    let layers = IndexSet::from_indices(layers);
                    let place = match &tensor.place {
                        Where::Experts { experts, .. } => Where::Experts { layers, experts: experts.clone() },
                        Where::Once | Where::Layers(_) => Where::Layers(layers),
                    };
                    shares.entry(device).or_default().push(RankTensor { place, ..tensor.clone() });
                }
            }
        }
    }
    (shares, uncovered)
}

/// The copy that a tied tensor needs on a device without its partner; `None` where it needs none.
fn untied(tensor: &RankTensor, device: Device, all: &[RankTensor], map: &DeviceMap) -> Option<RankTensor> {
    let Fill::Alias(target) = &tensor.fill else { return None };
    let partner = all.iter().find(|t| t.name == *target)?;
    (map.device_of(target) != Some(device)).then(|| RankTensor {
        name: tensor.name.clone(),
        part: tensor.part,
        ..partner.clone()
    })
}
