//! CUDA cards, through the driver API. The only file of the crate with `unsafe`: every call of the driver is one.
//!
//! The library is found by cudarc, but called through our own table of functions: a missing symbol is then an error instead of a panic, and a
//! result is a number instead of an enum, so that a code newer than the bindings is printed and not undefined behaviour.
#![expect(unsafe_code, reason = "calls the CUDA driver, a C library")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::{Arc, OnceLock};

use cudarc::driver::sys::{self, CUcontext, CUdevice, CUdeviceptr, CUevent, CUmemorytype, CUstream, CUuuid};

use super::{
    Arena, Cards, Device, DeviceError, DeviceIdentity, DeviceKind, DeviceMemory, DriverCode, DriverMissing, Runs,
    Transfer, Uuid,
};
use crate::loader::staging::{StagingBuffer, StagingMemory};
use crate::placement::StridedCopy;
use crate::units::Bytes;

/// Defines the table of driver functions and how it is filled.
macro_rules! driver_functions {
    ($($field:ident = $symbol:literal ( $($argument:ty),* );)*) => {
        struct Api { $($field: unsafe extern "C" fn($($argument),*) -> u32,)* }

        impl Api {
            fn load() -> Result<Self, DriverMissing> {
                // SAFETY: opens a shared library whose initialisers are the vendor's.
                if !unsafe { sys::is_culib_present() } {
                    return Err(DriverMissing::NotInstalled);
                }
                // SAFETY: as above; it has just been opened, so this does not panic.
                let library = unsafe { sys::culib() };
                $(
                    // SAFETY: the signature is the one `cuda.h` gives for this symbol; `CUresult` is an unsigned C enum.
                    let $field = *unsafe { library.get(concat!($symbol, "\0").as_bytes()) }
                        .map_err(|_| DriverMissing::Symbol($symbol))?;
                )*
                Ok(Self { $($field),* })
            }
        }
    };
}

driver_functions! {
    init = "cuInit"(c_uint);
    error_name = "cuGetErrorName"(u32, *mut *const c_char);
    device_count = "cuDeviceGetCount"(*mut c_int);
    device_get = "cuDeviceGet"(*mut CUdevice, c_int);
    device_name = "cuDeviceGetName"(*mut c_char, c_int, CUdevice);
    device_uuid = "cuDeviceGetUuid_v2"(*mut CUuuid, CUdevice);
    device_total = "cuDeviceTotalMem_v2"(*mut usize, CUdevice);
    context_retain = "cuDevicePrimaryCtxRetain"(*mut CUcontext, CUdevice);
    context_release = "cuDevicePrimaryCtxRelease_v2"(CUdevice);
    context_set = "cuCtxSetCurrent"(CUcontext);
    memory_info = "cuMemGetInfo_v2"(*mut usize, *mut usize);
    allocate = "cuMemAlloc_v2"(*mut CUdeviceptr, usize);
    free = "cuMemFree_v2"(CUdeviceptr);
    host_allocate = "cuMemHostAlloc"(*mut *mut c_void, usize, c_uint);
    host_free = "cuMemFreeHost"(*mut c_void);
    stream_create = "cuStreamCreate"(*mut CUstream, c_uint);
    stream_synchronize = "cuStreamSynchronize"(CUstream);
    stream_destroy = "cuStreamDestroy_v2"(CUstream);
    event_create = "cuEventCreate"(*mut CUevent, c_uint);
    event_record = "cuEventRecord"(CUevent, CUstream);
    event_synchronize = "cuEventSynchronize"(CUevent);
    event_destroy = "cuEventDestroy_v2"(CUevent);
    copy_to_device = "cuMemcpyHtoDAsync_v2"(CUdeviceptr, *const c_void, usize, CUstream);
    copy_to_host = "cuMemcpyDtoHAsync_v2"(*mut c_void, CUdeviceptr, usize, CUstream);
    copy_strided = "cuMemcpy2DAsync_v2"(*const sys::CUDA_MEMCPY2D, CUstream);
    set_bytes = "cuMemsetD8Async"(CUdeviceptr, u8, usize, CUstream);
    set_bytes_strided = "cuMemsetD2D8Async"(CUdeviceptr, usize, u8, usize, usize, CUstream);
}

// Numbers of `cuda.h`.
const SUCCESS: u32 = 0;
const HOST_ALLOC_PORTABLE: c_uint = 1;
const STREAM_NON_BLOCKING: c_uint = 1;
const EVENT_BLOCKING_SYNC_WITHOUT_TIMING: c_uint = 3;
/// The largest pitch of a strided copy (`CU_DEVICE_ATTRIBUTE_MAX_PITCH` of every card so far); wider ones go row by row.
const MAX_PITCH: u64 = i32::MAX as u64;

impl Api {
    /// The driver, loaded and started once per process.
    fn get() -> Result<&'static Self, DriverMissing> {
        static API: OnceLock<Result<Api, DriverMissing>> = OnceLock::new();
        let started = API.get_or_init(|| {
            let api = Self::load()?;
            // SAFETY: takes no pointer.
            match unsafe { (api.init)(0) } {
                SUCCESS => Ok(api),
                code => Err(DriverMissing::Init(api.code(code))),
            }
        });
        started.as_ref().map_err(Clone::clone)
    }

    fn code(&self, code: u32) -> DriverCode {
        let mut name = std::ptr::null();
        // SAFETY: writes a pointer to a static string, or leaves it null.
        let known = unsafe { (self.error_name)(code, &raw mut name) } == SUCCESS && !name.is_null();
        // SAFETY: the driver's names are static C strings.
        let name =
            if known { unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned() } else { "unknown".into() };
        DriverCode { code, name }
    }

    /// A result as an error with its kind.
    fn check(&self, device: &str, call: &'static str, code: u32) -> Result<(), DeviceError> {
        if code == SUCCESS { Ok(()) } else { Err(DeviceError::of_code(device, call, self.code(code))) }
    }
}

/// The CUDA driver of this machine and the cards it shows.
#[derive(Clone)]
pub struct CudaDriver {
    api: &'static Api,
    devices: Vec<(CUdevice, DeviceIdentity)>,
}

impl CudaDriver {
    /// Loads the driver and lists its cards, without touching one: no context is made.
    ///
    /// # Errors
    /// [`DriverMissing`] when CUDA cannot be used here.
    pub fn open() -> Result<Self, DriverMissing> {
        let api = Api::get()?;
        let mut count = 0;
        // SAFETY: writes one number.
        match unsafe { (api.device_count)(&raw mut count) } {
            SUCCESS => {}
            code => return Err(DriverMissing::Init(api.code(code))),
        }
        let identify = |ordinal| identify(api, ordinal).map_err(DriverMissing::Init);
        Ok(Self { api, devices: (0..count).map(identify).collect::<Result<_, _>>()? })
    }

    /// The cards in CUDA's order, which `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER` decide.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = &DeviceIdentity> {
        self.devices.iter().map(|(_, identity)| identity)
    }
}

fn identify(api: &Api, ordinal: c_int) -> Result<(CUdevice, DeviceIdentity), DriverCode> {
    let check = |code| if code == SUCCESS { Ok(()) } else { Err(api.code(code)) };
    let (mut device, mut total) = (0, 0);
    let mut name: [c_char; 256] = [0; 256];
    let mut uuid = CUuuid { bytes: [0; 16] };
    // SAFETY: each call writes one value of the type that is passed; the name is cut at the length given and ends with a zero.
    unsafe {
        check((api.device_get)(&raw mut device, ordinal))?;
        check((api.device_name)(name.as_mut_ptr(), name.len() as c_int - 1, device))?;
        check((api.device_uuid)(&raw mut uuid, device))?;
        check((api.device_total)(&raw mut total, device))?;
    }
    let name: Vec<u8> = name.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
    let identity = DeviceIdentity {
        kind: DeviceKind::Cuda,
        ordinal: ordinal.unsigned_abs(),
        name: String::from_utf8_lossy(&name).into_owned(),
        uuid: Some(Uuid(uuid.bytes.map(|c| c as u8))),
        total: Bytes(total as u64),
    };
    Ok((device, identity))
}

/// The CUDA cards of one load.
#[derive(Clone)]
pub struct CudaCards {
    driver: CudaDriver,
    ordinals: Vec<u32>,
}

impl CudaCards {
    /// Cards by CUDA ordinal.
    #[must_use]
    pub fn new(driver: CudaDriver, ordinals: Vec<u32>) -> Self {
        Self { driver, ordinals }
    }

    fn device(&self, index: usize) -> Result<&(CUdevice, DeviceIdentity), DeviceError> {
        let available = self.driver.devices.len() as u64;
        let none = DeviceError::NoSuchDevice { index: index as u64, available: self.ordinals.len() as u64 };
        let ordinal = *self.ordinals.get(index).ok_or(none)?;
        let none = DeviceError::NoSuchDevice { index: ordinal.into(), available };
        self.driver.devices.get(ordinal as usize).ok_or(none)
    }
}

impl Cards for CudaCards {
    fn kind(&self) -> DeviceKind {
        DeviceKind::Cuda
    }

    fn len(&self) -> usize {
        self.ordinals.len()
    }

    fn pack_below(&self) -> u64 {
        // A copy engine moves a run at a time: below this the gaps between runs cost more than the CPU's packing. To be measured by card.
        1024
    }

    fn best_buffer(&self) -> Bytes {
        // Long enough for the full speed of the bus.
        Bytes::mib(16)
    }

    fn identity(&self, index: usize) -> Result<DeviceIdentity, DeviceError> {
        self.device(index).map(|(_, identity)| identity.clone())
    }

    fn open(&self, index: usize) -> Result<Arc<dyn Device>, DeviceError> {
        let (device, identity) = self.device(index)?;
        Ok(Arc::new(CudaDevice(Arc::new(Context::retain(self.driver.api, *device, identity.clone())?))))
    }
}

/// The primary context of one card, retained, with the one stream that all copies to the card go through.
struct Context {
    api: &'static Api,
    identity: DeviceIdentity,
    label: String,
    device: CUdevice,
    context: CUcontext,
    /// Null until it is created.
    stream: CUstream,
}

// SAFETY: handles of the driver API belong to the process; the driver locks where it must, and every use first makes the context current on
// its own thread.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    fn retain(api: &'static Api, device: CUdevice, identity: DeviceIdentity) -> Result<Self, DeviceError> {
        let label = identity.to_string();
        let mut context = std::ptr::null_mut();
        // SAFETY: writes one handle.
        let code = unsafe { (api.context_retain)(&raw mut context, device) };
        api.check(&label, "cuDevicePrimaryCtxRetain", code)?;
        // From here on dropping it releases the context, also when the stream is refused.
        let mut retained = Self { api, identity, label, device, context, stream: std::ptr::null_mut() };
        retained.enter()?;
        let mut stream = std::ptr::null_mut();
        // SAFETY: writes one handle; the context is current.
        retained.check("cuStreamCreate", unsafe { (api.stream_create)(&raw mut stream, STREAM_NON_BLOCKING) })?;
        retained.stream = stream;
        Ok(retained)
    }

    fn check(&self, call: &'static str, code: u32) -> Result<(), DeviceError> {
        self.api.check(&self.label, call, code)
    }

    /// Makes the context current on this thread, as nearly every call needs.
    fn enter(&self) -> Result<(), DeviceError> {
        // SAFETY: the context is retained as long as `self` lives.
        self.check("cuCtxSetCurrent", unsafe { (self.api.context_set)(self.context) })
    }

    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.enter()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: writes two numbers; the context is current.
        self.check("cuMemGetInfo", unsafe { (self.api.memory_info)(&raw mut free, &raw mut total) })?;
        Ok(DeviceMemory { free: Bytes(free as u64), total: Bytes(total as u64) })
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        self.enter()?;
        // SAFETY: the stream is ours.
        self.check("cuStreamSynchronize", unsafe { (self.api.stream_synchronize)(self.stream) })
    }

    fn out_of_range(&self, runs: Runs) -> DeviceError {
        DeviceError::OutOfRange { device: self.label.clone(), width: runs.width, rows: runs.rows }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Nothing can be done about a refusal here; a lost card refuses everything.
        let _ = self.enter();
        // SAFETY: nothing uses the stream any more: arenas, buffers and transfers keep the context alive.
        unsafe {
            if !self.stream.is_null() {
                (self.api.stream_destroy)(self.stream);
            }
            (self.api.context_set)(std::ptr::null_mut());
            (self.api.context_release)(self.device);
        }
    }
}

struct CudaDevice(Arc<Context>);

impl Device for CudaDevice {
    fn identity(&self) -> &DeviceIdentity {
        &self.0.identity
    }

    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.0.memory()
    }

    fn allocate(&self, bytes: Bytes) -> Result<Box<dyn Arena>, DeviceError> {
        let context = Arc::clone(&self.0);
        context.enter()?;
        let mut address = 0;
        if bytes > Bytes::ZERO {
            let size = usize::try_from(bytes.0).unwrap_or(usize::MAX);
            // SAFETY: writes one address; the context is current.
            let code = unsafe { (context.api.allocate)(&raw mut address, size) };
            context.check("cuMemAlloc", code).map_err(|error| match error {
                DeviceError::OutOfMemory { device, .. } => {
                    DeviceError::OutOfMemory { device, requested: Some(bytes), memory: context.memory().ok() }
                }
                other => other,
            })?;
        }
        Ok(Box::new(CudaArena { context, address, bytes: bytes.0 }))
    }

    fn staging(&self, bytes: usize) -> Result<Box<dyn StagingMemory>, DeviceError> {
        let context = Arc::clone(&self.0);
        context.enter()?;
        let mut address = std::ptr::null_mut();
        // Portable: page-locked for every card, not only for this one. Not write-combined, which would be slow to pack from.
        // SAFETY: writes one address; the context is current.
        let code = unsafe { (context.api.host_allocate)(&raw mut address, bytes, HOST_ALLOC_PORTABLE) };
        if code == super::error::OUT_OF_MEMORY {
            let (device, code) = (context.label.clone(), context.api.code(code));
            return Err(DeviceError::Staging { device, requested: Bytes(bytes as u64), code });
        }
        context.check("cuMemHostAlloc", code)?;
        // SAFETY: the driver gave `bytes` bytes; zeroed, because reading memory that nobody wrote is undefined.
        unsafe { address.cast::<u8>().write_bytes(0, bytes) };
        Ok(Box::new(Pinned { context, address: address.cast(), bytes }))
    }
}

/// Page-locked host memory.
struct Pinned {
    context: Arc<Context>,
    address: *mut u8,
    bytes: usize,
}

// SAFETY: plain memory that this value alone owns; access follows Rust's borrows.
unsafe impl Send for Pinned {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Pinned {}

impl StagingMemory for Pinned {
    fn bytes(&self) -> &[u8] {
        // SAFETY: `bytes` initialised bytes, freed only on drop. Cards only read from it while it is shared.
        unsafe { std::slice::from_raw_parts(self.address, self.bytes) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and exclusive: a transfer in flight would share the buffer.
        unsafe { std::slice::from_raw_parts_mut(self.address, self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = self.context.enter();
        // SAFETY: allocated by the driver and not used any more.
        unsafe { (self.context.api.host_free)(self.address.cast()) };
    }
}

struct CudaArena {
    context: Arc<Context>,
    /// 0 for an empty arena.
    address: CUdeviceptr,
    bytes: u64,
}

impl CudaArena {
    /// Queues one copy whose bounds have been checked.
    fn queue(&self, source: &StagingBuffer, copy: &StridedCopy) -> Result<(), DeviceError> {
        let Context { api, stream, .. } = *self.context;
        let copy = copy.merged();
        if copy.rows > 1 && copy.source_pitch.max(copy.target_pitch) <= MAX_PITCH {
            let strided = sys::CUDA_MEMCPY2D {
                srcMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
                // In bounds: the first byte of a copy that lies in the buffer.
                srcHost: source.bytes()[copy.source_offset as usize..].as_ptr().cast(),
                srcPitch: copy.source_pitch as usize,
                dstMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
                dstDevice: self.address + copy.target_offset,
                dstPitch: copy.target_pitch as usize,
                WidthInBytes: copy.width as usize,
                Height: copy.rows as usize,
                ..empty_strided()
            };
            // SAFETY: source and target bounds were checked; the caller keeps the source alive and unwritten until the copy is over.
            return self.context.check("cuMemcpy2DAsync", unsafe { (api.copy_strided)(&raw const strided, stream) });
        }
        for row in 0..copy.rows {
            let start = (copy.source_offset + row * copy.source_pitch) as usize;
            let run = &source.bytes()[start..start + copy.width as usize];
            let target = self.address + copy.target_offset + row * copy.target_pitch;
            // SAFETY: as above.
            let code = unsafe { (api.copy_to_device)(target, run.as_ptr().cast(), run.len(), stream) };
            self.context.check("cuMemcpyHtoDAsync", code)?;
        }
        Ok(())
    }
}

/// All fields at nothing, for the ones a copy does not use.
fn empty_strided() -> sys::CUDA_MEMCPY2D {
    sys::CUDA_MEMCPY2D {
        srcXInBytes: 0,
        srcY: 0,
        srcMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
        srcHost: std::ptr::null(),
        srcDevice: 0,
        srcArray: std::ptr::null_mut(),
        srcPitch: 0,
        dstXInBytes: 0,
        dstY: 0,
        dstMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
        dstHost: std::ptr::null_mut(),
        dstDevice: 0,
        dstArray: std::ptr::null_mut(),
        dstPitch: 0,
        WidthInBytes: 0,
        Height: 0,
    }
}

impl Arena for CudaArena {
    fn zero(&self, runs: Runs) -> Result<(), DeviceError> {
        if !runs.fits(self.bytes) {
            return Err(self.context.out_of_range(runs));
        }
        let Context { api, stream, .. } = *self.context;
        let runs = runs.merged();
        self.context.enter()?;
        let target = self.address + runs.offset;
        let (width, rows) = (runs.width as usize, runs.rows as usize);
        if runs.bytes() == 0 {
            return Ok(());
        }
        if runs.rows > 1 && runs.pitch <= MAX_PITCH {
            // SAFETY: inside the arena; the context is current.
            let code = unsafe { (api.set_bytes_strided)(target, runs.pitch as usize, 0, width, rows, stream) };
            return self.context.check("cuMemsetD2D8Async", code);
        }
        for row in 0..runs.rows {
            // SAFETY: as above.
            let code = unsafe { (api.set_bytes)(target + row * runs.pitch, 0, width, stream) };
            self.context.check("cuMemsetD8Async", code)?;
        }
        Ok(())
    }

    fn submit(&self, source: &Arc<StagingBuffer>, copies: &[StridedCopy]) -> Result<Box<dyn Transfer>, DeviceError> {
        let len = source.bytes().len() as u64;
        for copy in copies {
            if !Runs::target_of(copy).fits(self.bytes) || !Runs::source_of(copy).fits(len) {
                return Err(self.context.out_of_range(Runs::target_of(copy)));
            }
        }
        self.context.enter()?;
        let queued = copies.iter().filter(|copy| copy.bytes() > 0).try_for_each(|copy| self.queue(source, copy));
        match queued.and_then(|()| Fence::set(&self.context)) {
            Ok(fence) => Ok(Box::new(CudaTransfer { fence, source: Arc::clone(source) })),
            Err(error) => {
                // Some copies may be on their way: the source must not be given back before they are over.
                let _ = self.context.synchronize();
                Err(error)
            }
        }
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        self.context.synchronize()
    }

    fn read_back(&self, runs: Runs, into: &mut StagingBuffer) -> Result<(), DeviceError> {
        let bytes = into.bytes_mut();
        if !runs.fits(self.bytes) || runs.bytes() > bytes.len() as u64 {
            return Err(self.context.out_of_range(runs));
        }
        if runs.bytes() == 0 {
            return Ok(());
        }
        let Context { api, stream, .. } = *self.context;
        let runs = runs.merged();
        self.context.enter()?;
        let queued = if runs.rows > 1 && runs.pitch <= MAX_PITCH {
            let strided = sys::CUDA_MEMCPY2D {
                srcMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
                srcDevice: self.address + runs.offset,
                srcPitch: runs.pitch as usize,
                dstMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
                dstHost: bytes.as_mut_ptr().cast(),
                dstPitch: runs.width as usize,
                WidthInBytes: runs.width as usize,
                Height: runs.rows as usize,
                ..empty_strided()
            };
            // SAFETY: inside the arena, and the buffer is large enough; it is borrowed exclusively until the copy is over.
            self.context.check("cuMemcpy2DAsync", unsafe { (api.copy_strided)(&raw const strided, stream) })
        } else {
            let mut rows = (0..runs.rows).zip(bytes.chunks_exact_mut(runs.width as usize));
            rows.try_for_each(|(row, target)| {
                let source = self.address + runs.offset + row * runs.pitch;
                // SAFETY: as above.
                let code = unsafe { (api.copy_to_host)(target.as_mut_ptr().cast(), source, target.len(), stream) };
                self.context.check("cuMemcpyDtoHAsync", code)
            })
        };
        match queued.and_then(|()| Fence::set(&self.context)) {
            Ok(mut fence) => fence.wait(),
            Err(error) => {
                let _ = self.context.synchronize();
                Err(error)
            }
        }
    }
}

impl Drop for CudaArena {
    fn drop(&mut self) {
        if self.address == 0 {
            return;
        }
        let _ = self.context.synchronize();
        // SAFETY: allocated by us, and no copy into it is on its way.
        unsafe { (self.context.api.free)(self.address) };
    }
}

/// A mark in a card's stream.
struct Fence {
    context: Arc<Context>,
    event: CUevent,
    waited: bool,
}

// SAFETY: a handle of the process, as for the context.
unsafe impl Send for Fence {}

impl Fence {
    /// Marks what has been queued so far. The context must be current.
    fn set(context: &Arc<Context>) -> Result<Self, DeviceError> {
        let mut event = std::ptr::null_mut();
        // SAFETY: writes one handle.
        let code = unsafe { (context.api.event_create)(&raw mut event, EVENT_BLOCKING_SYNC_WITHOUT_TIMING) };
        context.check("cuEventCreate", code)?;
        let mut fence = Self { context: Arc::clone(context), event, waited: true };
        // SAFETY: both handles are ours and of this context.
        context.check("cuEventRecord", unsafe { (context.api.event_record)(event, context.stream) })?;
        fence.waited = false;
        Ok(fence)
    }

    fn wait(&mut self) -> Result<(), DeviceError> {
        self.waited = true;
        self.context.enter()?;
        // SAFETY: the event is ours.
        let code = unsafe { (self.context.api.event_synchronize)(self.event) };
        self.context.check("cuEventSynchronize", code).inspect_err(|_| {
            // The copies may go on all the same: their source must not be given back before they are over.
            let _ = self.context.synchronize();
        })
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        if !self.waited {
            let _ = self.wait();
        }
        let _ = self.context.enter();
        // SAFETY: the event is ours and nothing waits for it.
        unsafe { (self.context.api.event_destroy)(self.event) };
    }
}

/// Copies on their way. Fields drop in this order: the wait comes before the source is given back.
struct CudaTransfer {
    fence: Fence,
    #[expect(dead_code, reason = "held, so that nobody writes to it while the card reads from it")]
    source: Arc<StagingBuffer>,
}

impl Transfer for CudaTransfer {
    fn wait(mut self: Box<Self>) -> Result<(), DeviceError> {
        self.fence.wait()
    }
}
