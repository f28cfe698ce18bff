//! The gradient of maximum pooling in float32, in vectors along the lines of the input: each element gathers from the
//! windows that hold it, in their order, so that it is written once.

use crate::parallel;
use crate::simd::{Tier, lanes, load, load_bytes, load_lanes, store, store_new, store_pairs};
use crate::window::lines::{Part, Parts, by_input};
use crate::window::runs::{Reach, Reaches, pairs, planes_a_task};
use crate::window::{Axis, PoolDims};
use pulp::{Simd, WithSimd};
use std::mem::MaybeUninit;

/// No tap has this number.
const NONE: u8 = u8::MAX;

/// Whether [`scatter`] computes this geometry, whose windows have byte taps.
pub(super) fn serves(dims: &PoolDims) -> bool {
    Reaches::serve(dims)
}

/// Adds `dy` to the elements it came from.
pub(super) fn scatter(tier: Tier, dims: &PoolDims, taps: &[u8], dy: &[f32]) -> Vec<f32> {
    let (plane_in, plane_out) = (dims.planes.plane_in, dims.planes.plane_out);
    let plan = Plan::new(dims);
    let (planes, len) = (planes_a_task(dims), dims.planes.input.iter().product());
    let task = |task: usize, dx: &mut [MaybeUninit<f32>]| {
        let outputs = task * planes * plane_out..(task * planes + dx.len() / plane_in) * plane_out;
        tier.run(Scatter { plan: &plan, taps: &taps[outputs.clone()], dy: &dy[outputs], dx });
    };
    // SAFETY: `Scatter` writes all columns of all lines of its planes: `by_input` has a line for each.
    unsafe { parallel::build_unfilled(len, f32::NAN, planes * plane_in, planes * dims.work(), task) }
}

/// What is the same for every plane.
struct Plan<'a> {
    plane_in: usize,
    plane_out: usize,
    width: &'a Axis,
    parts: Parts,
    /// None where windows of two columns lie side by side, whose lines need no copies.
    copies: Option<Reaches>,
}

impl<'a> Plan<'a> {
    fn new(dims: &'a PoolDims) -> Self {
        let (width, parts) = (dims.width(), by_input(dims));
        let copies = (!pairs(width)).then(|| Reaches::new(width));
        Self { plane_in: dims.planes.plane_in, plane_out: dims.planes.plane_out, width, parts, copies }
    }
}

/// The gradients of consecutive planes.
struct Scatter<'a> {
    plan: &'a Plan<'a>,
    taps: &'a [u8],
    dy: &'a [f32],
    dx: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { plan, taps, dy, dx } = self;
        let lines = plan.plane_out / plan.width.output;
        let pitch = plan.copies.as_ref().map_or(0, |copies| copies.pitch);
        let mut copied = (vec![NONE; lines * pitch], vec![0.; lines * pitch]);
        for plane in 0..dx.len() / plan.plane_in {
            let (taps, dy) = (&taps[plane * plan.plane_out..], &dy[plane * plan.plane_out..]);
            let dx = &mut dx[plane * plan.plane_in..];
            match &plan.copies {
                None => pair_plane(simd, plan, taps, dy, dx),
                Some(copies) => {
                    copy(simd, plan, copies, taps, dy, &mut copied);
                    plane_grad(simd, plan, copies, &copied, dx);
                }
            }
        }
    }
}

/// One plane of windows whose lines are pairs of columns. A vector may run on over the end of its line: what it writes there
/// is written again.
#[inline(always)]
fn pair_plane<S: Simd>(simd: S, plan: &Plan<'_>, taps: &[u8], dy: &[f32], dx: &mut [MaybeUninit<f32>]) {
    let (zero, width) = (simd.splat_f32s(0.), plan.width);
    for line in 0..plan.parts.len() {
        for column in (0..width.input).step_by(2 * S::F32_LANES) {
            let window = (column / 2).min(width.output);
            let lanes = lanes(simd, width.output - window);
            let mut sums = [zero; 2];
            for part in plan.parts.of(line) {
                let at = part.line * width.output + window;
                let (tap, dy) = (load_bytes(simd, &taps[at..], 0), load_lanes(simd, &dy[at..], lanes, zero));
                sums[0] = add_where(simd, sums[0], tap, part.tap, dy);
                sums[1] = add_where(simd, sums[1], tap, part.tap + 1, dy);
            }
            store_pairs(simd, &mut dx[line * width.input + column..], sums);
        }
    }
}

/// `sum + dy` in the lanes whose tap is `number`.
#[inline(always)]
fn add_where<S: Simd>(simd: S, sum: S::f32s, tap: S::u32s, number: u32, dy: S::f32s) -> S::f32s {
    let holds = simd.equal_u32s(tap, simd.splat_u32s(number));
    simd.add_f32s(sum, simd.select_f32s(holds, dy, simd.splat_f32s(0.)))
}

/// Copies the lines of one plane of the output.
#[inline(always)]
fn copy<S: Simd>(simd: S, plan: &Plan<'_>, copies: &Reaches, taps: &[u8], dy: &[f32], to: &mut (Vec<u8>, Vec<f32>)) {
    let (width, zero) = (plan.width.output, simd.splat_f32s(0.));
    for line in 0..plan.plane_out / width {
        let (at, first) = (line * width, line * copies.pitch + copies.before);
        to.0[first..][..width].copy_from_slice(&taps[at..][..width]);
        for column in (0..width).step_by(S::F32_LANES) {
            let dy = load_lanes(simd, &dy[at + column..], lanes(simd, width - column), zero);
            store(simd, &mut to.1[first + column..], dy);
        }
    }
}

/// One plane, from copies of its lines.
#[inline(always)]
fn plane_grad<S: Simd>(
    simd: S,
    plan: &Plan<'_>,
    copies: &Reaches,
    (taps, dy): &(Vec<u8>, Vec<f32>),
    dx: &mut [MaybeUninit<f32>],
) {
    let stride = plan.width.stride;
    for line in 0..plan.parts.len() {
        let parts = plan.parts.of(line);
        for column in (0..plan.width.input).step_by(stride * S::F32_LANES) {
            let dx = &mut dx[line * plan.width.input + column..];
            match copies.residues.as_slice() {
                [all] => store_new(simd, dx, gathered(simd, copies, parts, all, taps, dy, column)),
                [even, odd, ..] => {
                    let even = gathered(simd, copies, parts, even, taps, dy, column / 2);
                    let odd = gathered(simd, copies, parts, odd, taps, dy, column / 2);
                    store_pairs(simd, dx, [even, odd]);
                }
                [] => {}
            }
        }
    }
}

/// The sums of one residue's columns from `column` on.
#[inline(always)]
fn gathered<S: Simd>(
    simd: S,
    copies: &Reaches,
    parts: &[Part],
    reaches: &[Reach],
    taps: &[u8],
    dy: &[f32],
    column: usize,
) -> S::f32s {
    let mut sum = simd.splat_f32s(0.);
    for part in parts {
        let first = part.line * copies.pitch + column;
        for reach in reaches {
            let at = first + reach.start;
            let tap = load_bytes(simd, &taps[at..], NONE);
            sum = add_where(simd, sum, tap, part.tap + reach.tap, load::<S>(&dy[at..]));
        }
    }
    sum
}
