//! Whether a run fits into memory, and what to change where it does not.

use anyhow::{Result, bail};

use super::free::here;
use super::{Checkpointing, Dims, Load, Place, Plan, plan};
use crate::engine::candle::plain::free;

/// `load` with as large a share for activations as `free` bytes leave, and its plan.
///
/// # Errors
/// Even with the least activations it needs more than `free`. The message names the nearest settings that fit;
/// `adapter` is how many numbers adapters of rank 16 would have.
pub fn fit(dims: &Dims, load: &Load, adapter: u64, free: u64) -> Result<(Load, Plan)> {
    let fitted = fitted(dims, load, free);
    let plan = plan(dims, &fitted);
    if plan.peak() <= free {
        return Ok((fitted, plan));
    }
    let advice = nearest(dims, load, adapter, free).map_or_else(
        || {
            "no setting of this recipe fits, take a smaller model, fewer `rollout.groups` or less `rollout.cache_mb`"
                .into()
        },
        |(settings, bytes)| format!("{settings} needs {}", human(bytes)),
    );
    bail!("the run needs {} of memory but {} are free ({}): {advice}", human(plan.peak()), human(free), plan.words())
}

fn fitted(dims: &Dims, load: &Load, free: u64) -> Load {
    let least = plan(dims, &Load { tape_bytes: 0, ..*load }).peak();
    Load { tape_bytes: (free.saturating_sub(least) / 8 * 7).min(load.tape_bytes), ..*load }
}

/// The first settings, in order of how little they change, under which the run fits, and what it needs then.
fn nearest(dims: &Dims, load: &Load, adapter: u64, free: u64) -> Option<(String, u64)> {
    let lora = (load.adapter.is_none()).then_some((Some(adapter), "`model.lora.rank = 16`"));
    for (adapter, lora) in std::iter::once((load.adapter, "")).chain(lora) {
        for split in (0..16).map(|i| 1 << i).take_while(|split| *split <= load.rows.max(1)) {
            for checkpointing in [load.checkpointing, Checkpointing::On] {
                let changed = Load { adapter, checkpointing, rows: load.rows.div_ceil(split), ..*load };
                let peak = plan(dims, &fitted(dims, &changed, free)).peak();
                if peak <= free {
                    let on =
                        if checkpointing == load.checkpointing { "" } else { "`optim.checkpoint_layers = \"on\"`" };
                    let batches = format!("{split} times the `optim.minibatches`");
                    let parts = [lora, on, if split > 1 { &batches } else { "" }];
                    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
                    return Some((parts.join(" with "), peak));
                }
            }
        }
    }
    None
}

/// Bytes that are free where a run computes; `None` where that cannot be found out.
pub fn available(place: Place) -> Option<u64> {
    match place {
        Place::Cpu => here(),
        Place::Cuda(n) => free(n),
    }
}

/// `1.5 GiB`, `20 MiB`.
pub fn human(bytes: u64) -> String {
    let mib = bytes as f64 / (1u64 << 20) as f64;
    if mib < 1000.0 { format!("{mib:.0} MiB") } else { format!("{:.1} GiB", mib / 1024.0) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{dims, load};
    use super::*;
    use crate::engine::candle::memory::TAPE_BYTES;

    #[test]
    fn a_run_that_does_not_fit_is_told_what_does() {
        let needed = plan(&dims(), &fitted(&dims(), &load(), 3 << 30)).peak();
        assert!(fit(&dims(), &load(), 500_000, needed).is_ok());
        // static parts fit, activations shrink
        let (less, plan) = fit(&dims(), &load(), 500_000, 1_400 << 20).unwrap();
        assert!(less.tape_bytes < TAPE_BYTES && plan.peak() <= 1_400 << 20);
        let refused = |load: Load, mib: u64| fit(&dims(), &load, 500_000, mib << 20).err().unwrap().to_string();
        let fixed = Load { checkpointing: Checkpointing::Off, ..load() };
        let message = refused(fixed, 1_100);
        assert!(message.contains("`optim.checkpoint_layers = \"on\"` needs"), "{message}");
        let message = refused(load(), 610);
        assert!(message.contains("`model.lora.rank = 16`") && message.contains("weights 112 MiB"), "{message}");
        assert!(refused(load(), 50).contains("take a smaller model"));
    }
}
