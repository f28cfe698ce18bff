//! A residual network for pictures of 32×32.
//!
//! Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", arXiv 1512.03385, section 4.2; its shortcuts
//! between stages are 1×1 convolutions here (option B).

use taper::ops::add_relu;
use taper::prelude::*;

/// Channels of the stages.
const STAGES: [usize; 3] = [16, 32, 64];

/// `6 · blocks + 2` layers with weights: 20 where `blocks` is 3.
pub(crate) fn resnet(blocks: usize, vb: VarBuilder<'_>) -> taper::Result<Sequential> {
    let mut net = Sequential::new()
        .add(Conv2d::new(3, STAGES[0], 3, same(), vb.pp("conv1"))?)
        .add(BatchNorm2d::new(STAGES[0], BatchNormConfig::default(), vb.pp("bn1"))?)
        .add(ReLU);
    let mut from = STAGES[0];
    for (stage, to) in STAGES.into_iter().enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let vb = vb.pp(format!("layer{}.{block}", stage + 1));
            net = net.add_module(format!("BasicBlock({from}, {to})"), BasicBlock::new(from, to, stride, &vb)?);
            from = to;
        }
    }
    Ok(net.add(AdaptiveAvgPool2d::new(1)).add(Flatten::default()).add(Linear::new(from, 10, vb.pp("fc"))?))
}

fn same() -> Conv2dConfig {
    Conv2dConfig::default().padding(1).bias(false)
}

/// `max(residual(x) + shortcut(x), 0)`.
struct BasicBlock {
    residual: Sequential,
    downsample: Option<Sequential>,
}

impl BasicBlock {
    fn new(from: usize, to: usize, stride: usize, vb: &VarBuilder<'_>) -> taper::Result<Self> {
        let norm = BatchNormConfig::default();
        let residual = Sequential::new()
            .add(Conv2d::new(from, to, 3, same().stride(stride), vb.pp("conv1"))?)
            .add(BatchNorm2d::new(to, norm, vb.pp("bn1"))?)
            .add(ReLU)
            .add(Conv2d::new(to, to, 3, same(), vb.pp("conv2"))?)
            .add(BatchNorm2d::new(to, norm, vb.pp("bn2"))?);
        let downsample = if (from, stride) == (to, 1) {
            None
        } else {
            let vb = vb.pp("downsample");
            let project = Conv2d::new(from, to, 1, Conv2dConfig::default().bias(false).stride(stride), vb.pp("0"))?;
            Some(Sequential::new().add(project).add(BatchNorm2d::new(to, norm, vb.pp("1"))?))
        };
        Ok(Self { residual, downsample })
    }
}

impl Layer for BasicBlock {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> taper::Result<Tensor> {
        let shortcut = self.downsample.as_ref().map_or_else(|| Ok(x.clone()), |net| net.forward_in(x, mode))?;
        Ok(add_relu(&self.residual.forward_in(x, mode)?, &shortcut)?)
    }
}
