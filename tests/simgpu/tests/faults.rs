//! Planned faults, as the client libraries report them.
#![allow(clippy::disallowed_methods, reason = "tests run programs and read files")]
#![allow(unsafe_code, reason = "the driver API is C")]

mod common;

use common::Session;
use cudarc::driver::{result, sys};
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::event::EventData;
use simgpu::{Card, Fault, Machine, NvmlFailure};

fn cards(count: usize) -> Machine {
    Machine::new().cards(count, Card::sized(256, 10))
}

#[test]
fn the_planned_allocation_fails_alone() {
    let machine = cards(2).fault(Fault::AllocationFails { card: 1, nth: 2 });
    let Some(used) = common::on("the_planned_allocation_fails_alone", machine, || {
        let first = Session::open(0);
        first.alloc(16);
        first.alloc(16);
        let second = Session::open(1);
        second.alloc(16);
        let refused = unsafe { result::malloc_sync(16) }.unwrap_err();
        assert_eq!(refused.0, sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        second.alloc(16);
    }) else {
        return;
    };
    common::assert_tidy(&used);
    assert_eq!(used.processes[0].units[1].allocation_calls, 3);
}

#[test]
fn a_card_lost_while_copying_is_lost_to_nvml_too() {
    let machine = cards(2).fault(Fault::CardLost { card: 0, after_copies: Some(2), after_nvml_calls: None });
    let Some(used) = common::on("a_card_lost_while_copying_is_lost_to_nvml_too", machine, || {
        let nvml = Nvml::init().unwrap();
        let card = nvml.device_by_index(0).unwrap();
        let session = Session::open(0);
        let (block, stream) = (session.alloc(16), session.stream());
        session.put(block, &[1]).unwrap();
        session.put(block, &[1]).unwrap();
        assert!(card.memory_info().is_ok());
        let lost = sys::CUresult::CUDA_ERROR_LAUNCH_FAILED;
        assert_eq!(session.put(block, &[1]).unwrap_err().0, lost);
        assert_eq!(session.wait(stream).unwrap_err().0, lost, "it sticks");
        assert!(matches!(card.memory_info(), Err(NvmlError::GpuLost)));
        assert!(nvml.device_by_index(1).unwrap().memory_info().is_ok());
    }) else {
        return;
    };
    assert_eq!(used.loose_ends(), Vec::<String>::new(), "leaving the context returns all it had");
    assert_eq!((used.units[0].lost, used.units[1].lost), (true, false));
}

#[test]
fn a_card_can_be_lost_to_nvml_first() {
    let machine = cards(1).fault(Fault::CardLost { card: 0, after_copies: None, after_nvml_calls: Some(3) });
    let Some(used) = common::on("a_card_can_be_lost_to_nvml_first", machine, || {
        let nvml = Nvml::init().unwrap();
        let card = nvml.device_by_index(0).unwrap();
        card.name().unwrap();
        card.uuid().unwrap();
        assert!(matches!(card.name(), Err(NvmlError::GpuLost)));
        result::init().unwrap();
        let refused = unsafe { result::primary_ctx::retain(result::device::get(0).unwrap()) }.unwrap_err();
        assert_eq!(refused.0, sys::CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE);
    }) else {
        return;
    };
    common::assert_tidy(&used);
}

#[test]
fn memory_errors_are_told_and_counted() {
    let machine = cards(1).fault(Fault::EccError { card: 0, after_copies: 1 });
    let Some(used) = common::on("memory_errors_are_told_and_counted", machine, || {
        let session = Session::open(0);
        let block = session.alloc(16);
        session.put(block, &[1]).unwrap();
        assert_eq!(session.put(block, &[1]).unwrap_err().0, sys::CUresult::CUDA_ERROR_ECC_UNCORRECTABLE);
        let nvml = Nvml::init().unwrap();
        let card = nvml.device_by_index(0).unwrap();
        let count = |kind| card.total_ecc_errors(kind, EccCounter::Volatile).unwrap();
        assert_eq!((count(MemoryError::Corrected), count(MemoryError::Uncorrected)), (0, 1));
    }) else {
        return;
    };
    common::assert_tidy(&used);
}

#[test]
fn a_flipped_bit_says_nothing() {
    let machine = cards(1).fault(Fault::FlipBit { card: 0, after_copies: 1, offset: 5, bit: 3 });
    let Some(used) = common::on("a_flipped_bit_says_nothing", machine, || {
        let session = Session::open(0);
        let (_small, large) = (session.alloc(8), session.alloc(16));
        session.put(large, &[0; 16]).unwrap();
        assert_eq!(session.get(large, 16), [0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }) else {
        return;
    };
    common::assert_tidy(&used);
}

#[test]
fn contexts_and_calls_fail_as_planned() {
    let machine = cards(2).fault(Fault::ContextFails { card: 1, code: 2 }).fault(Fault::CudaError {
        call: "cuMemHostAlloc".to_owned(),
        code: 304,
        nth: Some(2),
    });
    let Some(used) = common::on("contexts_and_calls_fail_as_planned", machine, || {
        let session = Session::open(0);
        let block = session.pin(16);
        let failed = unsafe { result::malloc_host(16, 0) }.unwrap_err();
        assert_eq!(failed.0, sys::CUresult::CUDA_ERROR_OPERATING_SYSTEM);
        session.unpin(block);
        let refused = unsafe { result::primary_ctx::retain(result::device::get(1).unwrap()) }.unwrap_err();
        assert_eq!(refused.0, sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    }) else {
        return;
    };
    common::assert_tidy(&used);
}

#[test]
fn cuda_may_refuse_to_start() {
    let Some(used) = common::on("cuda_may_refuse_to_start", cards(1).fault(Fault::cuda_init(803)), || {
        let failed = result::init().unwrap_err();
        assert_eq!(failed.0, sys::CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
        assert_eq!(failed.error_name().unwrap().to_str(), Ok("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"));
        let mut count = 0;
        assert_eq!(unsafe { sys::cuDeviceGetCount(&raw mut count) }, sys::CUresult::CUDA_ERROR_NOT_INITIALIZED);
    }) else {
        return;
    };
    common::assert_tidy(&used);
}

#[test]
fn pinned_memory_may_run_out() {
    let Some(used) = common::on("pinned_memory_may_run_out", cards(1).pinned_limit(1 << 20), || {
        let session = Session::open(0);
        let block = session.pin(1 << 20);
        let failed = unsafe { result::malloc_host(1, 0) }.unwrap_err();
        assert_eq!(failed.0, sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        session.unpin(block);
    }) else {
        return;
    };
    common::assert_tidy(&used);
}

#[test]
fn old_drivers_answer_version_one() {
    let machine = Machine::new().card(Card::a10().process(4242, 1000 << 20)).fault(Fault::no_memory_v2());
    let Some(used) = common::on("old_drivers_answer_version_one", machine, || {
        let nvml = Nvml::init().unwrap();
        let card = nvml.device_by_index(0).unwrap();
        assert!(matches!(card.memory_info(), Err(NvmlError::NotSupported)));
        let mut memory: nvml_wrapper_sys::bindings::nvmlMemory_t = unsafe { std::mem::zeroed() };
        assert_eq!(unsafe { nvml.lib().nvmlDeviceGetMemoryInfo(card.handle(), &raw mut memory) }, 0);
        let mib = |bytes: u64| bytes >> 20;
        assert_eq!((mib(memory.total), mib(memory.used), mib(memory.free)), (23_028, 1520, 21_508));
    }) else {
        return;
    };
    common::assert_tidy(&used);
}

#[test]
fn readings_can_be_missing_or_forbidden() {
    let machine = Machine::new()
        .card(Card::a10().process(4242, 1))
        .card(Card::a10().with(|card| card.temperature = None))
        .faults(Fault::no_processes(NvmlFailure::NoPermission))
        .fault(Fault::NvmlError {
            call: "nvmlDeviceGetPowerUsage".to_owned(),
            card: Some(1),
            error: NvmlFailure::Unknown,
        });
    let Some(used) = common::on("readings_can_be_missing_or_forbidden", machine, || {
        let nvml = Nvml::init().unwrap();
        let (first, second) = (nvml.device_by_index(0).unwrap(), nvml.device_by_index(1).unwrap());
        assert!(matches!(first.running_compute_processes(), Err(NvmlError::NoPermission)));
        assert!(matches!(first.running_graphics_processes(), Err(NvmlError::NoPermission)));
        assert_eq!(first.temperature(TemperatureSensor::Gpu).unwrap(), 34);
        assert!(matches!(second.temperature(TemperatureSensor::Gpu), Err(NvmlError::NotSupported)));
        assert_eq!(first.power_usage().unwrap(), 16_430);
        assert!(matches!(second.power_usage(), Err(NvmlError::Unknown)));
    }) else {
        return;
    };
    common::assert_tidy(&used);
}

#[test]
fn nvml_may_refuse_to_start() {
    let machine = cards(1).fault(Fault::nvml("nvmlInit_v2", NvmlFailure::VersionMismatch));
    let Some(used) = common::on("nvml_may_refuse_to_start", machine, || {
        assert!(matches!(Nvml::init(), Err(NvmlError::LibRmVersionMismatch)));
    }) else {
        return;
    };
    common::assert_tidy(&used);
}

#[test]
fn critical_errors_reach_those_who_wait() {
    let machine = cards(2).fault(Fault::Xid { card: 1, code: 79, after_waits: 1 });
    let Some(used) = common::on("critical_errors_reach_those_who_wait", machine, || {
        let nvml = Nvml::init().unwrap();
        let card = nvml.device_by_index(1).unwrap();
        let set = nvml.create_event_set().unwrap();
        let set = card.register_events(EventTypes::CRITICAL_XID_ERROR, set).map_err(|failed| failed.error).unwrap();
        assert!(matches!(set.wait(1), Err(NvmlError::Timeout)));
        let EventData { device, event_data, .. } = set.wait(1).unwrap();
        assert_eq!(device.uuid().unwrap(), card.uuid().unwrap());
        assert_eq!(format!("{event_data:?}"), "Some(Value(79))");
        assert!(matches!(set.wait(1), Err(NvmlError::Timeout)), "told once");
        set.release_events().unwrap();
    }) else {
        return;
    };
    common::assert_tidy(&used);
}
