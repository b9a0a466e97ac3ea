//! What is printed: versioned structures and the renderers that format them.

pub mod load;
mod plan;
pub mod probe;
pub mod render;
pub mod top;

pub use plan::{
    AdviceReport, CapacityReport, EngineReport, FleetReport, HostReport, KvGroupReport, LayoutReport, LineReport,
    ModelReport, PlanReport, PredictedReport, RankReport, RejectedReport, Tool, VerdictReport, WeakestLine,
    WorkloadReport,
};
