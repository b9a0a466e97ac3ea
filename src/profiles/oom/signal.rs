//! What messages say, as closed sets: the vocabulary between the pattern files and the rules that read them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a match is to a diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Something failed.
    Failure,
    /// Something is wrong and may explain a failure that is not in the log.
    Suspicion,
    /// Follows from a failure elsewhere.
    Consequence,
    /// A failure that is not one of memory.
    Decline,
    /// How far the engine is and what it measured.
    State,
    /// A figure that is written again and again.
    Gauge,
    /// What the engine was told.
    Config,
    /// A line of a traceback.
    Frame,
}

/// The stage of a start or a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Before anything is loaded.
    Startup,
    /// Weights are created, loaded or moved.
    Weights,
    /// Weights are converted or quantised.
    Conversion,
    /// An engine is built.
    EngineBuild,
    /// The engine measures its peak.
    Profiling,
    /// The engine measures its peak with images or audio.
    MultimodalProfiling,
    /// The KV pool is sized or allocated.
    KvSizing,
    /// Compute buffers are reserved.
    ComputeBuffers,
    /// A first request warms the engine up.
    Warmup,
    /// The sampler is warmed up.
    SamplerWarmup,
    /// CUDA graphs are captured.
    GraphCapture,
    /// The cache grows.
    KvGrowth,
    /// A forward pass, at start or for a request.
    Forward,
    /// Requests are served.
    Serving,
}

impl Stage {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Startup => "start-up",
            Self::Weights => "loading weights",
            Self::Conversion => "converting weights",
            Self::EngineBuild => "building the engine",
            Self::Profiling => "the start-up profile",
            Self::MultimodalProfiling => "the profile with images",
            Self::KvSizing => "sizing the KV pool",
            Self::ComputeBuffers => "reserving compute buffers",
            Self::Warmup => "the warm-up request",
            Self::SamplerWarmup => "warming up the sampler",
            Self::GraphCapture => "capturing CUDA graphs",
            Self::KvGrowth => "growing the cache",
            Self::Forward => "a forward pass",
            Self::Serving => "serving requests",
        }
    }

    /// In words, as the time at which something happened: `while loading weights`, `during start-up`.
    #[must_use]
    pub fn when(self) -> String {
        let word = match self {
            Self::Startup | Self::Profiling | Self::MultimodalProfiling | Self::Warmup | Self::Forward => "during",
            _ => "while",
        };
        format!("{word} {}", self.name())
    }
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// A frame of a traceback.
    Frame,
    /// A whole model is moved to one card.
    FrameMovedToOneCard,
    /// A frame of the start-up profile.
    FrameProfile,
    /// All weights are placed.
    Loaded,
    /// A worker reports an exception of its own.
    WorkerException,
    /// A card in a table of cards.
    CardNamed,
    /// A traceback begins.
    Traceback,
    /// A process was killed, as the host's or container's memory limit does.
    HostKilled,
    /// A worker of Ray died without a word.
    RayWorkerDied,
    /// The shared memory of the container is full.
    SharedMemoryFull,
    /// The host refused pinned memory.
    PinnedMemoryRefused,
    /// An allocation in host memory failed.
    HostAllocationFailed,
    /// The program runs under the Windows Subsystem for Linux.
    Wsl,
    /// Resident size of a process.
    ResidentSize,
    /// The driver reports a fault of a kernel.
    Xid,
    /// Used and total memory of a card.
    CardInUse,
    /// A slice of a card.
    Mig,
    /// A worker ended after an earlier problem.
    WorkerDied,
    /// Another rank failed first.
    PeerFailed,
    /// A buffer of ggml could not be allocated; the following lines name its owner.
    GgmlBuffer,
    /// A call to the driver failed for want of memory; no numbers.
    DriverOutOfMemory,
    /// The pool without virtual memory management could not grow.
    LegacyPoolExhausted,
    /// A further buffer was allocated while serving.
    ServingAllocation,
    /// Compute buffers are held in several copies.
    PipelineCopies,
    /// KV cache of one card.
    KvBuffer,
    /// Tokens or bytes of the KV pool.
    KvSize,
    /// What the weights take.
    Weights,
    /// The engine states its arguments.
    EngineArgs,
    /// The model as the host holds it.
    HostModel,
    /// The part of a model that host memory must hold does not fit.
    SystemMemoryShort,
    /// A child process ended after an earlier problem.
    RunnerEnded,
    /// How layers were divided over cards and host.
    Offload,
    /// What the host has.
    HostMemory,
    /// The engine states its version.
    EngineVersion,
    /// TurboMind ran out of memory; the source file names the owner.
    TurbomindOutOfMemory,
    /// No block of the KV pool is free.
    KvBlocksExhausted,
    /// Blocks of the KV pool.
    KvBlocks,
    /// The KV pool holds fewer tokens than one sequence of the stated length.
    KvBelowLength,
    /// A warm-up failed after an earlier problem.
    WarmUpFailed,
    /// NCCL ran out of memory.
    NcclOutOfMemory,
    /// A CUDA library could not allocate its workspace.
    LibraryAllocationFailed,
    /// A CUDA library could not be initialised, of which memory is one reason.
    LibraryNotInitialized,
    /// The token budget of all requests does not fit.
    TotalTokensTooMany,
    /// The token budget of a prefill does not fit.
    PrefillTokensTooMany,
    /// The number of a request.
    RequestCounter,
    /// The message states need and supply, which may not even contradict each other.
    StatedInequality,
    /// The memory allowed on all cards is used up.
    SplitExhausted,
    /// The cache does not fit beside the weights.
    CacheBesideWeights,
    /// PyTorch's allocator could not get a block.
    Allocation,
    /// The kernel's part of the driver found no pages for itself.
    KernelDriverRefused,
    /// The driver refused a block once; what came of it stands elsewhere.
    AllocationWarned,
    /// Mapping a further piece of an expandable segment failed.
    MappingFailed,
    /// A command buffer of Metal ran out of memory.
    CommandBufferOutOfMemory,
    /// One buffer is larger than the device allows at all.
    BufferLimitExceeded,
    /// The build of an engine failed after an earlier problem.
    BuildFailed,
    /// A kernel touched memory that is not its own: a fault.
    IllegalAccess,
    /// Weights are larger than the share set aside for weights and pool together.
    StaticShareTooSmall,
    /// The pool is smaller than asked for.
    KvPoolBelowRequest,
    /// The capture of CUDA graphs failed; the inner error says why.
    CaptureFailed,
    /// The capture of CUDA graphs began.
    GraphCaptureStarted,
    /// The capture of CUDA graphs ended well.
    GraphCaptureFinished,
    /// Requests were set back because the KV pool is full.
    KvPoolPressure,
    /// The pool had too few tokens or pages for the next step.
    KvTokensRefused,
    /// The pool of recurrent states holds fewer than the sequences allowed at once.
    StateBlocksTooFew,
    /// Every row or state that a sequence needs beside its tokens is taken.
    RequestSlotsExhausted,
    /// Tokens of the pool are lost: an idle pool is not whole.
    PoolLeak,
    /// One card of the group has much less free than another at start.
    CardsUnbalanced,
    /// A kernel wants more than a multiprocessor has of its own: not the card's memory.
    KernelResources,
    /// How full the KV pool is.
    KvUsage,
    /// A workspace of fixed size is too small.
    WorkspaceTooSmall,
    /// A buffer whose size the build of an engine fixed could not be allocated.
    EngineBufferFailed,
    /// A component of the executor could not be created.
    ComponentFailed,
    /// A tactic needs more memory than the card has.
    TacticMemory,
    /// A checkpoint is converted or an engine built.
    Conversion,
    /// A device map puts modules on the host that may not go there.
    DeviceMapExceedsCards,
    /// A model that is partly offloaded was moved as a whole.
    MovedWhileOffloaded,
    /// A model that is divided over cards was moved as a whole.
    MovedWhileDispatched,
    /// Parameters were offloaded to host or disk.
    Offloaded,
    /// Weights are being loaded.
    Loading,
    /// Tensors of one operation are on two cards: no allocation failed.
    TensorsOnTwoDevices,
    /// Nothing is left for the KV pool.
    NoMemoryForKv,
    /// Less is free at start than the engine wants.
    FreeBelowRequest,
    /// The sampler's warm-up ran out of memory.
    SamplerWarmup,
    /// Memory became free while the engine measured: another process let go of it.
    ProfilingGainedMemory,
    /// A size does not divide over the ranks.
    NotDivisible,
    /// How the engine divides its budget.
    Budget,
    /// Bytes that are left for the KV pool; negative when the budget is exceeded.
    KvAvailable,
    /// What the engine sets aside for CUDA graphs.
    GraphEstimate,
    /// Buffers of captured graphs are registered with the peers.
    GraphAddresses,
    /// Registering a buffer for the own all-reduce failed.
    AllReduceRegistration,
    /// Mapping the pool again after sleep failed.
    SleepModeRemap,
    /// What is still held while the engine sleeps.
    SleepResidue,
    /// The longest images or videos do not fit into the profiling run.
    MultimodalWorstCase,
    /// The profiling run with images began.
    MultimodalProfileStarted,
    /// How many images the profiling run takes.
    MultimodalBatch,
    /// The engine states its configuration.
    EngineStarted,
}
