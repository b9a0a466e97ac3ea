//! What is printed: versioned structures and the renderers that format them.

mod calibration;
mod comparison;
mod diagnosis;
mod host;
mod load;
mod plan;
pub mod probe;
mod profiles;
pub mod render;
pub mod run;
pub mod top;

pub use calibration::{CalibrationReport, CardRates, HostRates};
pub use comparison::{ComparisonReport, DifferenceReport};
pub use diagnosis::{
    AgainstReport, BudgetLineReport, BudgetReport, DiagnosisReport, DifferenceRow, EvidenceReport, FindingReport,
    LogReport, MatchReport, PredictedRepair, RejectedCauseReport, RejectedRepairReport, RepairReport,
};
pub use host::{HostLineReport, HostReport};
pub use load::{
    BaselineReport, FailureReport, HolderReport, LoadReport, LoadedCard, LoadedRank, PhaseReport, ReadReport,
    ReconciliationLine, VerificationReport,
};
pub use plan::{
    AdviceReport, CapacityReport, EngineReport, FleetReport, KvGroupReport, LayoutReport, LineReport, ModelReport,
    PlanReport, PredictedReport, RankReport, RejectedReport, Tool, VerdictReport, WeakestLine, WorkloadReport,
};
pub use profiles::{ProfileFact, ProfileListReport, ProfileName, ProfileReport};
