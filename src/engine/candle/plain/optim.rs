//! AdamW on tensors: first and second moments beside the weights, on the same device.

use candle_core::{D, DType, Device, Result, Tensor};

use crate::engine::candle::cpu::AdamWStep;

/// Moments of one tensor.
#[derive(Clone)]
pub(in super::super) struct AdamWTensors {
    pub m: Tensor,
    pub v: Tensor,
}

impl AdamWTensors {
    pub fn zeros(like: &Tensor) -> Result<Self> {
        Ok(Self { m: like.zeros_like()?, v: like.zeros_like()? })
    }

    /// Moments [m, v] that were read, for the weight `like`.
    pub fn of(moments: [&[f32]; 2], like: &Tensor) -> Result<Self> {
        let there = |numbers: &[f32]| {
            Tensor::from_slice(numbers, like.shape(), &Device::Cpu)?.to_device(like.device())?.to_dtype(like.dtype())
        };
        Ok(Self { m: there(moments[0])?, v: there(moments[1])? })
    }

    /// The weight after one update by gradient `g`; nothing that exists is written to.
    pub fn step(&mut self, w: &Tensor, g: &Tensor, step: &AdamWStep) -> Result<Tensor> {
        let (b1, b2) = (f64::from(step.beta1), f64::from(step.beta2));
        let g = (g.to_dtype(w.dtype())? * f64::from(step.grad_scale))?;
        self.m = ((&self.m * b1)? + (&g * (1.0 - b1))?)?;
        self.v = ((&self.v * b2)? + (g.sqr()? * (1.0 - b2))?)?;
        let denominator = ((&self.v * f64::from(step.c2))?.sqrt()? + f64::from(step.eps))?;
        let change = ((&self.m * f64::from(step.c1))? / denominator)?;
        let kept = (w * (1.0 - f64::from(step.lr) * f64::from(step.weight_decay)))?;
        kept - (change * f64::from(step.lr))?
    }
}

/// Sum of squares of all tensors, with one wait for the device.
pub(in super::super) fn square<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Result<f64> {
    let one = |t: &Tensor| total(&t.to_dtype(DType::F32)?.sqr()?);
    let sums = tensors.map(one).collect::<Result<Vec<_>>>()?;
    if sums.is_empty() {
        return Ok(0.0);
    }
    Ok(Tensor::stack(&sums, 0)?.to_vec1::<f32>()?.into_iter().map(f64::from).sum())
}

/// Sum of all numbers, row by row first: a sum that is left as a whole keeps a single block of the device busy.
pub(in super::super) fn total(t: &Tensor) -> Result<Tensor> {
    if t.rank() > 1 { t.sum(D::Minus1)?.sum_all() } else { t.sum_all() }
}
