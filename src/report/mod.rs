//! What is printed: versioned structures and the renderers that format them.

mod comparison;
mod diagnosis;
mod load;
mod plan;
pub mod probe;
pub mod render;
pub mod run;
pub mod top;

pub use comparison::{ComparisonReport, DifferenceReport};
pub use diagnosis::{
    AgainstReport, BudgetLineReport, BudgetReport, DiagnosisReport, DifferenceRow, EvidenceReport, FindingReport,
    LogReport, MatchReport, PredictedRepair, RejectedCauseReport, RejectedRepairReport, RepairReport,
};
pub use load::{
    FailureReport, LoadReport, LoadedCard, LoadedRank, PhaseReport, ReadReport, ReconciliationLine, VerificationReport,
};
pub use plan::{
    AdviceReport, CapacityReport, EngineReport, FleetReport, HostReport, KvGroupReport, LayoutReport, LineReport,
    ModelReport, PlanReport, PredictedReport, RankReport, RejectedReport, Tool, VerdictReport, WeakestLine,
    WorkloadReport,
};
