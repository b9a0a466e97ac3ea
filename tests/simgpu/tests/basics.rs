//! The simulated driver as nvml-wrapper and cudarc see it.
#![allow(clippy::disallowed_methods, reason = "tests run programs and read files")]
#![allow(unsafe_code, reason = "the driver API is C")]

mod common;

use std::path::Path;

use cudarc::driver::{CudaContext, result, sys};
use nvml_wrapper::enum_wrappers::device::{Clock, PcieUtilCounter, TopologyLevel};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use simgpu::machine::NvLink;
use simgpu::{Card, Installed, Machine};

const MIB: u64 = 1 << 20;

#[test]
fn cards_are_enumerated() {
    let machine = Machine::new().cards(3, Card::a10()).card(Card::h100_80gb().process(4242, 1000 * MIB));
    let Some(used) = common::on("cards_are_enumerated", machine, || {
        let nvml = Nvml::init().unwrap();
        assert_eq!(nvml.device_count().unwrap(), 4);
        assert_eq!(nvml.sys_driver_version().unwrap(), "570.124.06");
        assert_eq!(nvml.sys_cuda_driver_version().unwrap(), 12080);
        let card = nvml.device_by_index(3).unwrap();
        assert_eq!(card.name().unwrap(), "NVIDIA H100 80GB HBM3");
        assert_eq!(card.pci_info().unwrap().bus_id, "00000000:13:00.0");
        assert_eq!(nvml.device_by_uuid(card.uuid().unwrap()).unwrap().index().unwrap(), 3);
        assert_eq!(nvml.device_by_pci_bus_id("0000:13:00.0").unwrap().index().unwrap(), 3);
        let capability = card.cuda_compute_capability().unwrap();
        assert_eq!((capability.major, capability.minor), (9, 0));
        let memory = card.memory_info().unwrap();
        assert_eq!(memory.total, 81_559 * MIB);
        assert_eq!(memory.reserved, 550 * MIB);
        assert_eq!(memory.used, 1000 * MIB);
        assert_eq!(memory.total, memory.used + memory.free + memory.reserved);
        let processes = card.running_compute_processes().unwrap();
        assert_eq!(processes.len(), 1);
        assert_eq!((processes[0].pid, &processes[0].used_gpu_memory), (4242, &UsedGpuMemory::Used(1000 * MIB)));
        assert!(nvml.device_by_index(4).is_err());
    }) else {
        return;
    };
    assert_eq!(used.loose_ends(), Vec::<String>::new());
}

#[test]
fn memory_is_taken_and_returned() {
    let machine = Machine::new().cards(2, Card::sized(1024, 100));
    let Some(used) = common::on("memory_is_taken_and_returned", machine, || {
        result::init().unwrap();
        let device = result::device::get(1).unwrap();
        let context = unsafe { result::primary_ctx::retain(device) }.unwrap();
        unsafe { result::ctx::set_current(context) }.unwrap();
        assert_eq!(result::mem_get_info().unwrap(), (924 << 20, 1024 << 20));
        let block = unsafe { result::malloc_sync(900 << 20) }.unwrap();
        let refused = unsafe { result::malloc_sync(25 << 20) }.unwrap_err();
        assert_eq!(refused.0, sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        let odd = unsafe { result::malloc_sync((3 << 20) + 1) }.unwrap();
        assert_eq!(result::mem_get_info().unwrap().0, 20 << 20, "rounded to pages of 2 MiB");

        let nvml = Nvml::init().unwrap();
        let card = nvml.device_by_index(1).unwrap();
        assert_eq!(card.memory_info().unwrap().used, 1004 * MIB);
        let processes = card.running_compute_processes().unwrap();
        assert_eq!(processes[0].pid, std::process::id());
        assert_eq!(processes[0].used_gpu_memory, UsedGpuMemory::Used(1004 * MIB));
        assert_eq!(nvml.device_by_index(0).unwrap().memory_info().unwrap().used, 0);

        unsafe { result::free_sync(odd) }.unwrap();
        unsafe { result::free_sync(block) }.unwrap();
        assert!(unsafe { result::free_sync(block) }.is_err(), "freed twice");
        unsafe { result::primary_ctx::release(device) }.unwrap();
    }) else {
        return;
    };
    assert_eq!(used.loose_ends(), Vec::<String>::new());
    assert_eq!(used.unreturned(), 0);
    assert_eq!(used.units[1].high_water, 1004 * MIB);
    assert_eq!(used.misuses(), 1);
}

#[test]
fn links_and_sensors_answer() {
    let machine = Machine::new()
        .card(Card::h100_80gb())
        .card(Card::h100_80gb().with(|card| card.nvlinks[17] = NvLink::Inactive))
        .card(Card::rtx_3090());
    let Some(used) = common::on("links_and_sensors_answer", machine, || {
        let nvml = Nvml::init().unwrap();
        let [first, second, desktop] = [0, 1, 2].map(|at| nvml.device_by_index(at).unwrap());
        assert!(first.link_wrapper_for(17).is_active().unwrap());
        assert!(!second.link_wrapper_for(17).is_active().unwrap());
        assert!(matches!(desktop.link_wrapper_for(0).is_active(), Err(NvmlError::NotSupported)));
        assert_eq!(first.link_wrapper_for(0).remote_pci_info().unwrap().bus_id, "00000000:C0:00.0");
        assert_eq!(first.topology_common_ancestor(desktop).unwrap(), TopologyLevel::Node);

        let desktop = nvml.device_by_index(2).unwrap();
        let peers = |one: &Device<'_>, other: &Device<'_>, what| {
            let mut status = u32::MAX;
            let asked =
                unsafe { nvml.lib().nvmlDeviceGetP2PStatus(one.handle(), other.handle(), what, &raw mut status) };
            assert_eq!(asked, 0);
            status
        };
        let (read, nvlink) = (0, 2);
        assert_eq!((peers(&first, &second, read), peers(&first, &second, nvlink)), (0, 0));
        assert_eq!((peers(&first, &desktop, read), peers(&first, &desktop, nvlink)), (5, 5));
        result::init().unwrap();
        let mut can = -1;
        assert_eq!(unsafe { sys::cuDeviceCanAccessPeer(&raw mut can, 0, 1) }, sys::CUresult::CUDA_SUCCESS);
        assert_eq!(can, 1);
        assert_eq!(unsafe { sys::cuDeviceCanAccessPeer(&raw mut can, 0, 2) }, sys::CUresult::CUDA_SUCCESS);
        assert_eq!(can, 0);

        assert_eq!((desktop.current_pcie_link_gen().unwrap(), desktop.max_pcie_link_gen().unwrap()), (1, 4));
        assert_eq!(desktop.max_pcie_link_width().unwrap(), 16);
        assert_eq!(first.pcie_throughput(PcieUtilCounter::Receive).unwrap(), 340);
        assert_eq!(first.max_clock_info(Clock::SM).unwrap(), 1980);
        assert_eq!(desktop.fan_speed(0).unwrap(), 30);
        assert!(matches!(first.fan_speed(0), Err(NvmlError::NotSupported)));
        assert_eq!(first.utilization_rates().unwrap().gpu, 0);
        assert_eq!(first.power_management_limit().unwrap(), 700_000);
        assert!(matches!(desktop.is_ecc_enabled(), Err(NvmlError::NotSupported)));
    }) else {
        return;
    };
    assert_eq!(used.loose_ends(), Vec::<String>::new());
}

#[test]
fn devices_join_nvml_by_identity() {
    let machine = Machine::new().cards(2, Card::a100_80gb());
    let Some(used) = common::on("devices_join_nvml_by_identity", machine, || {
        result::init().unwrap();
        let device = result::device::get(1).unwrap();
        let uuid = result::device::get_uuid(device).unwrap();
        let hex: String = uuid.bytes.iter().map(|byte| format!("{:02x}", byte.cast_unsigned())).collect();
        let nvml = Nvml::init().unwrap();
        let name = nvml.device_by_index(1).unwrap().uuid().unwrap();
        assert_eq!(name.trim_start_matches("GPU-").replace('-', ""), hex);
        let attribute = |which| unsafe { result::device::get_attribute(device, which) }.unwrap();
        assert_eq!(attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT), 108);
        assert_eq!(attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR), 8);
        assert_eq!(attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED), 0);
        assert_eq!(unsafe { result::device::total_mem(device) }.unwrap(), 81_152 << 20);
    }) else {
        return;
    };
    assert_eq!(used.loose_ends(), Vec::<String>::new());
}

#[test]
fn the_safe_interface_works() {
    let machine = Machine::new().cards(1, Card::sized(256, 10));
    let Some(used) = common::on("the_safe_interface_works", machine, || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let device = stream.clone_htod(&[1u32, 2, 3]).unwrap();
        assert_eq!(stream.clone_dtoh(&device).unwrap(), [1, 2, 3]);
        let zeros = stream.alloc_zeros::<u32>(3).unwrap();
        assert_eq!(stream.clone_dtoh(&zeros).unwrap(), [0; 3]);
    }) else {
        return;
    };
    assert_eq!((used.loose_ends(), used.misuses()), (Vec::new(), 0));
}

#[test]
fn a_machine_may_lack_libraries() {
    let name = "a_machine_may_lack_libraries";
    if common::is_child(name) {
        let has = |variable: &str| std::env::var(variable).unwrap() == "yes";
        assert_eq!(Nvml::init().is_ok(), has("NVML"));
        assert_eq!(unsafe { sys::is_culib_present() }, has("CUDA"));
        return;
    }
    let machine = || Machine::new().cards(1, Card::a10());
    let check = |nvml: &str, cuda: &str, install: fn(Machine, &Path) -> std::io::Result<Installed>| {
        let dir = tempfile::tempdir().unwrap();
        let machine = install(machine(), dir.path()).unwrap();
        common::run(name, &machine, |command| {
            command.env("NVML", nvml).env("CUDA", cuda);
        });
    };
    check("yes", "yes", Machine::install);
    check("no", "yes", Machine::install_without_nvml);
    check("yes", "no", Machine::install_without_cuda);
    check("no", "no", Machine::install_without_driver);
}
