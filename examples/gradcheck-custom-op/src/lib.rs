//! A small operator of a user's own, `y[n, c] = x[n, c] · scale[c]`, with a wrong and with a right gradient.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

/// `y[n, c] = x[n, c] · scale[c]` for x `[N, C]` and scale `[C]`, in float64.
///
/// # Errors
/// Where the shapes do not fit, or the dtype is another.
pub fn channel_scale(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2(&scale.contiguous()?, ChannelScale)
}

/// [`channel_scale`] as it was first written: the gradient of `scale` is averaged over the rows, not summed.
///
/// # Errors
/// As for [`channel_scale`].
pub fn channel_scale_first_try(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2(&scale.contiguous()?, FirstTry)
}

struct ChannelScale;

impl CustomOp2 for ChannelScale {
    fn name(&self) -> &'static str {
        "channel-scale"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, scale: &CpuStorage, ls: &Layout) -> Result<(CpuStorage, Shape)> {
        forward(x, lx, scale, ls)
    }

    fn bwd(&self, x: &Tensor, scale: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dx = x.track_op().then(|| dy.broadcast_mul(scale)).transpose()?;
        let dscale = scale.track_op().then(|| (dy * x)?.sum(0)).transpose()?;
        Ok((dx, dscale))
    }
}

struct FirstTry;

impl CustomOp2 for FirstTry {
    fn name(&self) -> &'static str {
        "channel-scale-first-try"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, scale: &CpuStorage, ls: &Layout) -> Result<(CpuStorage, Shape)> {
        forward(x, lx, scale, ls)
    }

    fn bwd(&self, x: &Tensor, scale: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(dy.broadcast_mul(scale)?), Some((dy * x)?.mean(0)?)))
    }
}

fn forward(x: &CpuStorage, lx: &Layout, scale: &CpuStorage, ls: &Layout) -> Result<(CpuStorage, Shape)> {
    let (rows, channels) = lx.shape().dims2()?;
    if ls.dims() != [channels] {
        candle_core::bail!("channel_scale: scale must have shape [{channels}], got {:?}", ls.dims());
    }
    let (x, scale) = (&x.as_slice::<f64>()?[lx.start_offset()..], &scale.as_slice::<f64>()?[ls.start_offset()..]);
    let y = (0..rows * channels).map(|i| x[i] * scale[i % channels]).collect();
    Ok((CpuStorage::F64(y), lx.shape().clone()))
}
