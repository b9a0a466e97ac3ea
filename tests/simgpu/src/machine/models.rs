//! Ready-made cards. Totals and reserved bytes are those of published `nvidia-smi` and `cudaMemGetInfo` readings; context bytes are
//! those of a bare context (driver structures and local memory).

use super::{Card, Clocks, EccCounts, MIB, Mig, NvLink, Pcie, Utilization};

impl Card {
    /// NVIDIA A10: 23,028 MiB, of which CUDA sees 22,508.
    #[must_use]
    pub fn a10() -> Self {
        Self {
            pci_device_id: 0x2236_10DE,
            clocks: Some(Clocks { sm: 885, memory: 6251, max_sm: 1695, max_memory: 6251 }),
            power_usage: Some(16_430),
            power_limit: Some(150_000),
            ..Self::base("NVIDIA A10", 23_028, 22_508, (8, 6), 72, 1536, 240)
        }
    }

    /// NVIDIA A100-SXM4-80GB on NVSwitch.
    #[must_use]
    pub fn a100_80gb() -> Self {
        Self {
            pci_device_id: 0x20B2_10DE,
            mig: Mig::Disabled,
            nvlinks: vec![NvLink::Switch; 12],
            clocks: Some(Clocks { sm: 1410, memory: 1593, max_sm: 1410, max_memory: 1593 }),
            power_usage: Some(61_200),
            power_limit: Some(400_000),
            ..Self::base("NVIDIA A100-SXM4-80GB", 81_920, 81_152, (8, 0), 108, 2048, 420)
        }
    }

    /// NVIDIA H100 80GB HBM3 on NVSwitch.
    #[must_use]
    pub fn h100_80gb() -> Self {
        Self {
            pci_device_id: 0x2330_10DE,
            mig: Mig::Disabled,
            nvlinks: vec![NvLink::Switch; 18],
            nvlink_traffic: (1_200_000, 900_000),
            pcie: Some(Pcie { generation: 5, max_generation: 5, width: 16, max_width: 16, sent: 120, received: 340 }),
            clocks: Some(Clocks { sm: 1980, memory: 2619, max_sm: 1980, max_memory: 2619 }),
            power_usage: Some(70_900),
            power_limit: Some(700_000),
            ..Self::base("NVIDIA H100 80GB HBM3", 81_559, 81_009, (9, 0), 132, 2048, 505)
        }
    }

    /// NVIDIA GeForce RTX 3090: no ECC, a fan, no peer access over PCI Express.
    #[must_use]
    pub fn rtx_3090() -> Self {
        Self {
            pci_device_id: 0x2204_10DE,
            ecc: None,
            fan: Some(30),
            persistence: Some(false),
            peer_access: false,
            pcie: Some(Pcie { generation: 1, max_generation: 4, width: 16, max_width: 16, sent: 0, received: 0 }),
            clocks: Some(Clocks { sm: 210, memory: 405, max_sm: 2100, max_memory: 9751 }),
            power_usage: Some(21_800),
            power_limit: Some(350_000),
            ..Self::base("NVIDIA GeForce RTX 3090", 24_576, 24_259, (8, 6), 82, 1536, 260)
        }
    }

    /// A card of a size that a test chooses: `mib` is what CUDA sees, with `context_mib` for each context and nothing reserved.
    #[must_use]
    pub fn sized(mib: u64, context_mib: u64) -> Self {
        Self { pci_device_id: 0x2236_10DE, ..Self::base("Simulated GPU", mib, mib, (8, 6), 72, 1536, context_mib) }
    }

    fn base(
        name: &str,
        nvml_mib: u64,
        cuda_mib: u64,
        compute_capability: (u32, u32),
        multiprocessors: u32,
        threads_per_multiprocessor: u32,
        context_mib: u64,
    ) -> Self {
        Self {
            name: name.to_owned(),
            uuid: String::new(),
            pci_bus: 0,
            pci_device_id: 0,
            nvml_total: nvml_mib * MIB,
            reserved: (nvml_mib - cuda_mib) * MIB,
            compute_capability,
            multiprocessors,
            threads_per_multiprocessor,
            context_bytes: context_mib * MIB,
            processes: Vec::new(),
            hidden_bytes: 0,
            mig: Mig::Unsupported,
            temperature: Some(34),
            power_usage: None,
            power_limit: None,
            utilization: Some(Utilization { gpu: 0, memory: 0 }),
            clocks: None,
            pcie: Some(Pcie { generation: 4, max_generation: 4, width: 16, max_width: 16, sent: 120, received: 340 }),
            fan: None,
            ecc: Some(EccCounts::default()),
            persistence: Some(true),
            nvlinks: Vec::new(),
            nvlink_traffic: (0, 0),
            peer_access: true,
        }
    }
}
