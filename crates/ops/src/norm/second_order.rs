//! The derivatives of the input's gradient, composed of tracked operators, so that they have derivatives too.
//!
//! With x̂ the normalised input, r = 1/√(var + eps), g = weight · dy, E the mean over a set of n elements and
//! `P(g) = r · (g − E[g] − x̂ · E[g·x̂])`, the gradient is `dx = P(g)`. P is symmetric, so by g it is P again; and
//! `⟨v, P(g)⟩ = n·r·(E[v·g] − E[v]·E[g] − E[v·x̂]·E[g·x̂])`, of which r has the derivative `−r²·x̂/n` by x, and `n·E[v·x̂]`
//! has P(v). Without a mean to take away the terms in E[g] and E[v] are absent.

use super::autograd::{InputGrad, Norm, Shared};
use super::spec::{NormDims, Statistics};
use crate::operator::Apply;
use candle_core::{Result, Tensor};
use std::sync::Arc;

/// The derivatives of ⟨v, dx⟩ by x, the weight (0 where there is none) and dy.
pub(super) fn of_input_grad(
    shared: &Arc<Shared>,
    x: &Tensor,
    weight: Option<&Tensor>,
    dy: &Tensor,
    v: &Tensor,
) -> Result<[Tensor; 3]> {
    let dims = &shared.dims;
    let project = |g: &Tensor| InputGrad::new(shared).apply([x, g]);
    let pv = project(v)?;
    let by_dy = times(dims, &pv, weight)?;
    let by_weight = (dy * &pv)?.reshape(dims.by_channel())?.sum((0, 2))?.reshape(dims.affine_shape())?;
    if dims.statistics == Statistics::Fixed {
        return Ok([x.zeros_like()?, by_weight, by_dy]);
    }
    let g = times(dims, dy, weight)?;
    let pg = project(&g)?;
    let unit = Norm(shared.clone()).apply([x])?;
    let [x, v, g, unit, pv, pg] = [x, &v.contiguous()?, &g, &unit, &pv, &pg].map(|t| t.reshape(dims.by_set()));
    let (x, v, g, unit, pv, pg) = (x?, v?, g?, unit?, pv?, pg?);
    let mean = |t: &Tensor| t.mean_keepdim((0, 2));
    let (v_unit, g_unit) = (mean(&(&v * &unit)?)?, mean(&(&g * &unit)?)?);
    let mut spread = (mean(&(&v * &g)?)? - (&v_unit * &g_unit)?)?;
    let mut deviation = x.clone();
    if dims.statistics == Statistics::Centred {
        spread = (spread - (mean(&v)? * mean(&g)?)?)?;
        deviation = x.broadcast_sub(&mean(&x)?)?;
    }
    let r = scale(&mean(&deviation.sqr()?)?, dims.eps)?;
    let by_x = unit.broadcast_mul(&(spread * r.sqr()?)?)?;
    let by_x = (by_x + pv.broadcast_mul(&(g_unit * &r)?)? + pg.broadcast_mul(&(v_unit * &r)?)?)?.neg()?;
    Ok([by_x.reshape(dims.shape())?, by_weight, by_dy])
}

/// `1/√(var + eps)`, and 0 where that is infinite.
fn scale(var: &Tensor, eps: f64) -> Result<Tensor> {
    let var_eps = (var + eps)?;
    let none = var_eps.eq(&var_eps.zeros_like()?)?.to_dtype(var.dtype())?;
    (var_eps + &none)?.powf(-0.5)? * none.affine(-1., 1.)?
}

fn times(dims: &NormDims, t: &Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
    let Some(weight) = weight else {
        return Ok(t.clone());
    };
    let weight = weight.reshape((1, dims.channels, 1))?;
    t.reshape(dims.by_channel())?.broadcast_mul(&weight)?.reshape(dims.shape())
}
