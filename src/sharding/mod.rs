//! One sharding rule with two users: the ledger counts its bytes, the loader copies them.

mod device_map;
mod error;
mod experts;
mod layout;
mod packed_experts;
mod rules;
mod shard;
mod slices;
mod stored;
mod tensor;

pub use device_map::{
    BalanceError, Block, Caps, Device, DeviceMap, DeviceMapError, ModuleTree, Node, ParseStrategyError, Placed,
    Planner, Strategy, balance, device_shares, place,
};
pub use error::ShardError;
pub use layout::{Layout, Rank, Stage};
pub use packed_experts::ExpertPadding;
pub use rules::{ExpertRule, Fusion, Generated, ShardingRules, Split, TabledBuffer};
pub use shard::{shard, whole_model};
pub use tensor::{BoxCopy, Fill, RankTensor, SourceTensor, Where};
