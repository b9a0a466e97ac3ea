//! `CUdevice_attribute`: the ones that tell of cards what a program may ask, by their numbers.

use std::ffi::{c_int, c_uint};

use super::errors::Code;
use crate::driver::Driver;

/// The highest number that a CUDA 12 driver knows.
const LAST: c_uint = 140;

/// The value of one attribute; those that no card here has are zero.
pub(super) fn read(driver: &Driver, unit: usize, attribute: c_uint) -> Result<c_int, Code> {
    let card = driver.units[unit].of(&driver.machine);
    let clocks = card.clocks;
    let value: u32 = match attribute {
        0 => return Err(Code::INVALID_VALUE),
        1..=3 => 1024,                                             // threads per block, and along x and y
        4 => 64,                                                   // threads along z
        5 => 0x7FFF_FFFF,                                          // blocks along x
        6 | 7 => 65_535,                                           // blocks along y and z
        8 => 48 << 10,                                             // shared memory per block
        9 => 64 << 10,                                             // constant memory
        10 => 32,                                                  // warp
        11 => 0x7FFF_FFFF,                                         // largest pitch
        12 => 65_536,                                              // registers per block
        13 => clocks.map_or(0, |clocks| clocks.max_sm * 1000),     // clock rate, kHz
        14 => 512,                                                 // texture alignment
        15 | 19 | 31 | 41 => 1, // copies beside kernels, mapped host memory, concurrent kernels, unified addressing
        16 => driver.memory(unit).multiprocessors, // multiprocessors
        32 => u32::from(card.ecc.is_some()), // ECC
        33 => card.pci_bus,     // PCI bus
        36 => clocks.map_or(0, |clocks| clocks.max_memory * 1000), // memory clock rate, kHz
        37 => {
            if card.nvlinks.is_empty() {
                384
            } else {
                5120
            }
        } // memory bus width
        38 => 6 << 20,          // L2 cache
        39 => card.threads_per_multiprocessor, // resident threads
        40 => 3,                // copy engines
        75 => card.compute_capability.0,
        76 => card.compute_capability.1,
        78 | 79 | 80 | 83 | 89 | 91 | 99 => 1, // priorities, L1 caches, managed memory, host pointers, host registration
        81 => 100 << 10,                       // shared memory per multiprocessor
        82 => 65_536,                          // registers per multiprocessor
        97 => 99 << 10,                        // opt-in shared memory
        // 115, memory pools: none, as on a card lent out as vGPU, so that programs fall back to plain allocation.
        other if other <= LAST => 0,
        _ => return Err(Code::INVALID_VALUE),
    };
    c_int::try_from(value).map_err(|_| Code::INVALID_VALUE)
}
