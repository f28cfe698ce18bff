//! Dropout of square blocks of a feature map.

mod autograd;
mod cpu;
mod cuda;
mod spec;

use crate::{Draw, Result, linear_map};
use autograd::DropBlock;
use candle_core::Tensor;
use spec::Blocks;

/// Sets square blocks of each feature map to zero and scales what is left so that its sum stays in expectation.
///
/// # Formula
///
/// With `b = min(block_size, H, W)`, a block covers rows `i … i + b − 1` and columns `j … j + b − 1` for each start `(i, j)`
/// of `(H − b + 1)·(W − b + 1)` whose `word(e) < ⌊γ · 2³²⌋`, where
/// `γ = min(p · H·W / (b² · (H − b + 1)·(W − b + 1)), 1)`. Within a block `y = 0`, whatever `x` was; elsewhere
/// `y = x · (elements of the whole tensor) / (elements of it in no block)`.
///
/// `e = ((draw.first_sample + n)·C + c)·(H − b + 1)·(W − b + 1) + i·(W − b + 1) + j` numbers the words as
/// [`dropout`](crate::dropout) does. Blocks overlap, so that somewhat less than `p` of the elements are dropped, and `p = 1`
/// does not drop all, unless blocks are single elements or one is the whole map. With `p = 0` the result is `x` itself, without a copy.
///
/// The scale is of the tensor at hand. A batch that is given in pieces draws the blocks of the whole batch, but each piece
/// is scaled by its own count, so that here accumulating gradients over pieces is not the whole batch's gradient.
///
/// # Shapes
///
/// `[N, C, H, W]`, or `[C, H, W]`, of bf16, f16, f32 or f64 and any layout; the result has the same; `N` may be 0.
///
/// # Gradient
///
/// That of the scale outside the blocks, and 0 within. The mask is drawn again, never stored.
///
/// # Errors
///
/// [`Probability`](crate::Error::Probability), [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive)
/// (block size, an extent of a plane), [`Overflow`](crate::Error::Overflow) (draws beyond 64 bits) and
/// [`DType`](crate::Error::DType).
///
/// # Source
///
/// Ghiasi, Lin, Le, "DropBlock: a regularization method for convolutional networks", NeurIPS 2018; the conventions are
/// those of `torchvision.ops.drop_block2d`, with blocks of an even size covering just their size.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{Mode, drop_block2d};
///
/// let x = Tensor::ones((2, 3, 14, 14), DType::F64, &Device::Cpu)?;
/// let y = drop_block2d(&x, 0.1, 3, Mode::train(42, 0, 0).draw().unwrap())?;
/// assert!((y.mean_all()?.to_scalar::<f64>()? - 1.).abs() < 1e-12);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn drop_block2d(x: &Tensor, p: f64, block_size: usize, draw: Draw) -> Result<Tensor> {
    let blocks = Blocks::new("drop_block2d", x.dims(), p, block_size, draw)?;
    if p == 0. {
        return Ok(x.clone());
    }
    linear_map::apply(DropBlock::new(blocks), x)
}
