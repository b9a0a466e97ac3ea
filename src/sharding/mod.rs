//! One sharding rule with two users: the ledger counts its bytes, the loader copies them.

mod error;
mod layout;
mod rules;
mod shard;
mod slices;
mod tensor;

pub use error::ShardError;
pub use layout::{Layout, Rank, Stage};
pub use rules::{Fusion, Generated, ShardingRules, Split};
pub use shard::shard;
pub use tensor::{BoxCopy, Fill, RankTensor, SourceTensor, Where};
