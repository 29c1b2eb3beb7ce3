//! From the device a recipe asks for to the one that computes.

use std::panic::catch_unwind;

use anyhow::{Result, bail};

use crate::config::Device;
use crate::engine::candle::Place;

/// What this program can compute on beside the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gpus {
    /// It was built without CUDA.
    NotBuilt,
    /// It was built with CUDA and can open so many devices.
    Found(usize),
}

impl Gpus {
    /// Tries them one by one. A machine without the driver has none: the library that is missing then panics.
    pub fn here() -> Self {
        if !candle_core::utils::cuda_is_available() {
            return Self::NotBuilt;
        }
        let opens = |n: &usize| catch_unwind(|| candle_core::Device::new_cuda(*n).is_ok()).unwrap_or(false);
        Self::Found((0..MOST).take_while(opens).count())
    }
}

/// The device that is meant: never [`Device::Auto`].
///
/// # Errors
/// A GPU is asked for that this build or this machine does not have.
pub fn choose(wanted: Device, gpus: Gpus) -> Result<Device> {
    match (wanted, gpus) {
        (Device::Auto, Gpus::Found(1..)) => Ok(Device::Cuda(0)),
        (Device::Auto | Device::Cpu, _) => Ok(Device::Cpu),
        (Device::Cuda(n), Gpus::Found(found)) if n < found => Ok(wanted),
        (Device::Cuda(n), Gpus::NotBuilt) => {
            bail!("`model.device` is `cuda:{n}`, but this build has no CUDA: set it to `auto` or `cpu`")
        }
        (Device::Cuda(n), Gpus::Found(0)) => {
            bail!("`model.device` is `cuda:{n}`, but no GPU can be opened: see `nvidia-smi`, or set it to `cpu`")
        }
        (Device::Cuda(n), Gpus::Found(found)) => bail!(
            "`model.device` is `cuda:{n}`, but this machine's devices are `cuda:0` to `cuda:{}`",
            found.saturating_sub(1)
        ),
    }
}

/// Where the engine is to compute.
///
/// # Errors
/// As [`choose`].
pub fn place(wanted: Device) -> Result<Place> {
    Ok(match choose(wanted, Gpus::here())? {
        Device::Cuda(n) => Place::Cuda(n),
        Device::Auto | Device::Cpu => Place::Cpu,
    })
}

/// Devices looked for.
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_a_gpu_where_there_is_one() {
        let chosen = |wanted, gpus| choose(wanted, gpus).unwrap();
        assert_eq!(chosen(Device::Auto, Gpus::Found(2)), Device::Cuda(0));
        assert_eq!(chosen(Device::Auto, Gpus::Found(0)), Device::Cpu);
        assert_eq!(chosen(Device::Auto, Gpus::NotBuilt), Device::Cpu);
        assert_eq!(chosen(Device::Cpu, Gpus::Found(2)), Device::Cpu);
        assert_eq!(chosen(Device::Cuda(1), Gpus::Found(2)), Device::Cuda(1));
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused() {
        for (gpus, why) in [
            (Gpus::NotBuilt, "this build has no CUDA"),
            (Gpus::Found(0), "no GPU can be opened"),
            (Gpus::Found(2), "`cuda:0` to `cuda:1`"),
        ] {
            let error = choose(Device::Cuda(2), gpus).unwrap_err().to_string();
            assert!(error.starts_with("`model.device` is `cuda:2`, but ") && error.contains(why), "{error}");
        }
    }
}
