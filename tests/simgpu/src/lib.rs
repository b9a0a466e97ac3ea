//! Test equipment: a simulated NVML and CUDA driver.
