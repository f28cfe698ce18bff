//! Pooling layers, over one, two and three axes.

mod adaptive;
mod avg;
mod fractional;
mod lp;
mod max;
mod unpool;

pub use adaptive::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool, AdaptiveMaxPool1d,
    AdaptiveMaxPool2d, AdaptiveMaxPool3d,
};
pub use avg::{AvgPool, AvgPool1d, AvgPool2d, AvgPool3d};
pub use fractional::{FractionalMaxPool, FractionalMaxPool2d, FractionalMaxPool3d};
pub use lp::{LpPool, LpPool1d, LpPool2d, LpPool3d};
pub use max::{MaxPool, MaxPool1d, MaxPool2d, MaxPool3d};
pub use unpool::{MaxUnpool, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d};
