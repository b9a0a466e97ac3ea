//! The simulated driver as nvml-wrapper and cudarc see it.
#![allow(clippy::disallowed_methods, reason = "tests run programs and read files")]
#![allow(unsafe_code, reason = "the driver API is C")]

mod common;

use cudarc::driver::{result, sys};
use nvml_wrapper::Nvml;
use nvml_wrapper::enums::device::UsedGpuMemory;
use simgpu::{Card, Machine};

const MIB: u64 = 1 << 20;

#[test]
fn cards_are_enumerated() {
    let machine = Machine::new().cards(3, Card::a10()).card(Card::h100_80gb().process(4242, 1000 * MIB));
    let Some(outcome) = common::on("cards_are_enumerated", machine, || {
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
    assert_eq!(outcome.used.loose_ends(), Vec::<String>::new());
}

#[test]
fn memory_is_taken_and_returned() {
    let machine = Machine::new().cards(2, Card::sized(1024, 100));
    let Some(outcome) = common::on("memory_is_taken_and_returned", machine, || {
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
    assert_eq!(outcome.used.loose_ends(), Vec::<String>::new());
    assert_eq!(outcome.used.unreturned(), 0);
    assert_eq!(outcome.used.units[1].high_water, 1004 * MIB);
    assert_eq!(outcome.used.misuses(), 1);
}
