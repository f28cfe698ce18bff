//! Launches of the kernel of unpooling, which in both directions reads where each element comes from.

use super::spec::Unpooling;
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};

static KERNEL: Kernel = Kernel::new("unpool", include_str!("kernel.cu"));

/// Of an element that comes from none.
const NOWHERE: i64 = -1;

/// Each element at its place, 0 elsewhere.
pub(super) fn put(gpu: &Gpu, unpooling: &Unpooling, x: View<'_>) -> Result<Buffer> {
    let mut sources = vec![NOWHERE; unpooling.planes.output_len];
    for (element, place) in places(unpooling).enumerate() {
        if let Some(place) = place {
            sources[place] = element as i64;
        }
    }
    launch(gpu, sources, x)
}

/// What lies at the place of each element, 0 for one that was overwritten.
pub(super) fn take(gpu: &Gpu, unpooling: &Unpooling, dy: View<'_>) -> Result<Buffer> {
    launch(gpu, places(unpooling).map(|place| place.map_or(NOWHERE, |place| place as i64)).collect(), dy)
}

/// Where each element goes in the whole output, unless it was overwritten.
fn places(Unpooling { planes, places }: &Unpooling) -> impl Iterator<Item = Option<usize>> {
    let place = |(i, &place)| (place < planes.plane_out).then(|| i / planes.plane_in * planes.plane_out + place);
    places.iter().enumerate().map(place)
}

fn launch(gpu: &Gpu, sources: Vec<i64>, from: View<'_>) -> Result<Buffer> {
    let n = sources.len();
    let (sources, mut to) = (gpu.upload(sources)?, gpu.alloc(n)?);
    let args = vec![Arg::In(from), Arg::In(sources.view()), Arg::Out(&mut to), Arg::Size(n)];
    gpu.launch(&KERNEL, "unpool", Work::Each(n), args)?;
    Ok(to)
}
