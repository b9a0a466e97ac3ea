//! Which kind of card a load uses.

use super::{CudaDriver, DriverMissing};

/// `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// CUDA where its driver shows a card, else host memory.
    #[default]
    Auto,
    /// CUDA, or an error.
    Cuda,
    /// Host memory.
    Host,
}

/// What was chosen.
#[derive(Clone)]
pub enum Chosen {
    /// CUDA cards.
    Cuda(CudaDriver),
    /// Cards made of host memory.
    Host {
        /// Why not CUDA; `None` when nobody asked for it.
        because: Option<DriverMissing>,
    },
}

impl DeviceChoice {
    /// Looks for a CUDA driver where that is wanted. No card is touched.
    ///
    /// # Errors
    /// [`DriverMissing`] when CUDA was asked for and cannot be used.
    pub fn resolve(self) -> Result<Chosen, DriverMissing> {
        let cuda = || {
            let driver = CudaDriver::open()?;
            let any = driver.devices().next().is_some();
            if any { Ok(Chosen::Cuda(driver)) } else { Err(DriverMissing::NoCards) }
        };
        match self {
            Self::Auto => Ok(cuda().unwrap_or_else(|because| Chosen::Host { because: Some(because) })),
            Self::Cuda => cuda(),
            Self::Host => Ok(Chosen::Host { because: None }),
        }
    }
}
