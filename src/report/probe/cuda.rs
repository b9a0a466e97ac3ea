//! What a CUDA process would see under the environment at hand.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::split;
use crate::hardware::{Absence, CardState, DeviceOrder, Reading, Snapshot, VisibleDevices};

/// The two variables that decide which cards a CUDA process sees; `None` where unset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CudaEnvironment {
    /// `CUDA_VISIBLE_DEVICES`
    pub visible_devices: Option<String>,
    /// `CUDA_DEVICE_ORDER`
    pub device_order: Option<String>,
}

/// CUDA's own list of devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CudaView {
    /// `CUDA_VISIBLE_DEVICES`; `null` when it is not set and hides nothing.
    pub visible_devices: Option<String>,
    /// Why `visible_devices` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible_devices_reason: Option<&'static str>,
    /// `FASTEST_FIRST` (CUDA's default) or `PCI_BUS_ID`.
    pub device_order: &'static str,
    /// The devices by ordinal.
    pub devices: Vec<CudaDevice>,
    /// Devices of the machine that a process would not see.
    pub hidden: Vec<DeviceName>,
    /// What is odd about it, in words.
    pub notes: Vec<String>,
}

/// A device under its CUDA ordinal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CudaDevice {
    /// CUDA ordinal: 0 is `cuda:0`.
    pub ordinal: u32,
    /// Which device it is.
    #[serde(flatten)]
    pub device: DeviceName,
    /// Product name.
    pub name: Option<String>,
    /// Why `name` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_reason: Option<Absence>,
    /// `GPU-…` or `MIG-…` identity.
    pub uuid: Option<String>,
    /// Why `uuid` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid_reason: Option<Absence>,
}

/// A card, or a MIG device on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct DeviceName {
    /// Index of the card.
    pub card: u32,
    /// Index of the MIG device on it; left out for a whole card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mig_instance: Option<u32>,
}

/// `card 1`, `card 0 MIG device 2`
impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "card {}", self.card)?;
        self.mig_instance.map_or(Ok(()), |instance| write!(f, " MIG device {instance}"))
    }
}

impl CudaView {
    pub(super) fn new(snapshot: &Snapshot, environment: &CudaEnvironment) -> Self {
        let order = DeviceOrder::from_variable(environment.device_order.as_deref());
        let mask = environment.visible_devices.as_deref();
        let mut notes = Vec::new();
        let ids = match VisibleDevices::select(snapshot, order, mask) {
            Ok(seen) => {
                notes.extend(cut_note(mask, &seen));
                notes.extend(mig_note(&seen));
                notes.extend(lost_note(snapshot, &seen));
                seen.ordinals
            }
            Err(error) => {
                notes.push(error.to_string());
                Vec::new()
            }
        };
        notes.extend(order_note(snapshot, environment, order, ids.len()));
        let seen: Vec<DeviceName> =
            ids.into_iter().map(|(card, mig_instance)| DeviceName { card, mig_instance }).collect();
        let hidden = devices_of(snapshot).into_iter().filter(|device| !seen.contains(device)).collect();
        let devices = (0..).zip(seen).map(|(ordinal, device)| describe(snapshot, ordinal, device)).collect();
        let unset = "CUDA_VISIBLE_DEVICES is not set";
        Self {
            visible_devices: environment.visible_devices.clone(),
            visible_devices_reason: mask.is_none().then_some(unset),
            device_order: order.name(),
            devices,
            hidden,
            notes,
        }
    }
}

fn devices_of(snapshot: &Snapshot) -> Vec<DeviceName> {
    let of_card = |card: &CardState| match card.mig_instances() {
        None => vec![DeviceName { card: card.index, mig_instance: None }],
        Some(instances) => {
            instances.iter().map(|i| DeviceName { card: card.index, mig_instance: Some(i.index) }).collect()
        }
    };
    snapshot.cards.iter().flat_map(of_card).collect()
}

fn describe(snapshot: &Snapshot, ordinal: u32, device: DeviceName) -> CudaDevice {
    let card = snapshot.card(device.card);
    let instances = card.and_then(|card| card.mig_instances()).unwrap_or_default();
    let (name, uuid) = match instances.iter().find(|i| Some(i.index) == device.mig_instance) {
        Some(instance) => (Some(&instance.name), Some(&instance.uuid)),
        None => (card.map(|card| &card.name), card.map(|card| &card.uuid)),
    };
    let told = |reading: Option<&Reading<String>>| split(reading.cloned().unwrap_or(Reading::Failed));
    let ((name, name_reason), (uuid, uuid_reason)) = (told(name), told(uuid));
    CudaDevice { ordinal, device, name, name_reason, uuid, uuid_reason }
}

fn cut_note(mask: Option<&str>, seen: &VisibleDevices) -> Option<String> {
    match &seen.cut_at {
        Some(entry) => Some(format!("`{entry}` names no card here: CUDA ignores it and every entry after it")),
        None if mask.is_some_and(|mask| mask.trim().is_empty()) => {
            Some("an empty CUDA_VISIBLE_DEVICES hides every card".to_owned())
        }
        None => None,
    }
}

fn mig_note(seen: &VisibleDevices) -> Option<String> {
    (!seen.hidden_by_mig.is_empty()).then(|| {
        "a process sees one compute instance of a GPU instance; before driver branch 570, one MIG device and no whole card beside it"
            .to_owned()
    })
}

fn lost_note(snapshot: &Snapshot, seen: &VisibleDevices) -> Option<String> {
    let lost = seen.ordinals.iter().find(|(card, _)| snapshot.card(*card).is_some_and(CardState::is_lost))?.0;
    Some(format!("card {lost} is lost: CUDA may fail to start, or leave it out and number the rest anew"))
}

fn order_note(
    snapshot: &Snapshot,
    environment: &CudaEnvironment,
    order: DeviceOrder,
    devices: usize,
) -> Option<String> {
    if let Some(value) = environment.device_order.as_deref()
        && value.trim() != order.name()
    {
        return Some(format!("`{value}` is no CUDA_DEVICE_ORDER: CUDA knows FASTEST_FIRST and PCI_BUS_ID"));
    }
    let mut names = snapshot.cards.iter().filter_map(|card| card.name.as_ref().known());
    let first = names.next();
    let mixed = names.any(|name| Some(name) != first);
    (order == DeviceOrder::FastestFirst && mixed && devices > 1).then(|| {
        "the cards differ, and the order by speed is CUDA's own estimate: `CUDA_DEVICE_ORDER=PCI_BUS_ID` makes it that of nvidia-smi"
            .to_owned()
    })
}
