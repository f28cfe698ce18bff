//! The gradient of maximum pooling and its transpose, where the taps of the maxima are known.

use crate::parallel;
use crate::storage::Element;
use crate::window::PoolDims;

/// Adds `dy` to the elements it came from.
pub(crate) fn scatter<T: Element>(dims: &PoolDims, taps: &[u8], dy: &[T]) -> Vec<T> {
    let (planes, lookup) = (&dims.planes, Lookup::new(dims));
    let mut dx = vec![T::zero(); planes.input.iter().product()];
    parallel::for_each_item(&mut dx, planes.plane_in, planes.plane_in, |plane, dx| {
        let outputs = plane * planes.plane_out..(plane + 1) * planes.plane_out;
        lookup.for_each(&taps[outputs.clone()], |at, index| dx[index] += dy[outputs.start + at]);
    });
    dx
}

/// The elements of `x` at the taps.
pub(crate) fn gather<T: Element>(dims: &PoolDims, taps: &[u8], x: &[T]) -> Vec<T> {
    let planes = &dims.planes;
    at_taps(dims, taps, T::zero(), |plane, index| x[plane * planes.plane_in + index])
}

/// The indices of the taps within their planes.
pub(crate) fn indices(dims: &PoolDims, taps: &[u8]) -> Vec<i64> {
    at_taps(dims, taps, 0, |_, index| index as i64)
}

/// `f(plane, index)` of every tap.
fn at_taps<R: Copy + Send>(dims: &PoolDims, taps: &[u8], zero: R, f: impl Fn(usize, usize) -> R + Sync) -> Vec<R> {
    let (planes, lookup) = (&dims.planes, Lookup::new(dims));
    let mut out = vec![zero; planes.output_len];
    parallel::for_each_item(&mut out, planes.plane_out, planes.plane_out, |plane, out| {
        let taps = &taps[plane * planes.plane_out..][..planes.plane_out];
        lookup.for_each(taps, |at, index| out[at] = f(plane, index));
    });
    out
}

/// Where the windows begin, and where each tap lies from there.
struct Lookup<'a> {
    dims: &'a PoolDims,
    offsets: Vec<usize>,
}

impl<'a> Lookup<'a> {
    fn new(dims: &'a PoolDims) -> Self {
        Self { dims, offsets: dims.tap_offsets() }
    }

    /// Calls `f` with every output of one plane and the index of its tap, in order.
    fn for_each(&self, taps: &[u8], mut f: impl FnMut(usize, usize)) {
        let width = self.dims.width();
        for (i, row) in self.dims.rows().enumerate() {
            let (first, origin) = (i * width.output, row.origin());
            for (column, (tap, span)) in taps[first..].iter().zip(&width.spans).enumerate() {
                let start = origin.wrapping_add(width.origin(span));
                f(first + column, start.wrapping_add(self.offsets[usize::from(*tap)]));
            }
        }
    }
}
