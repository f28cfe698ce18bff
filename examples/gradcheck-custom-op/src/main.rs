#![allow(clippy::print_stdout, reason = "an example prints")]
//! Checks the first try and the mended operator, and prints both reports.

use candle_core::{DType, Result, Tensor};
use gradcheck_custom_op::{channel_scale, channel_scale_first_try};
use taper_gradcheck::strategies::{Fill, Kind};
use taper_gradcheck::{GradCheck, formats};

fn main() -> std::result::Result<(), taper_gradcheck::Error> {
    let reals = |shape: &[usize], seed| Fill { kind: Kind::Reals, seed }.tensor(shape, DType::F64);
    let inputs = [reals(&[4, 3], 1)?, reals(&[3], 2)?];
    type Scale = fn(&Tensor, &Tensor) -> Result<Tensor>;
    let tries: [(&str, Scale); 2] = [("first try", channel_scale_first_try), ("mended", channel_scale)];
    for (name, scale) in tries {
        let check = GradCheck::new(name).input_names(["x", "scale"]).linear_in([0, 1]).worst(3);
        let report = check.check(|x: &[Tensor]| scale(&x[0], &x[1]), &inputs)?;
        println!("{report}");
        print!("{}", formats::github(&[report]));
    }
    Ok(())
}
