#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]
//! What the user's CI runs.

use candle_core::{DType, Tensor};
use gradcheck_custom_op::{channel_scale, channel_scale_first_try};
use proptest::prelude::*;
use taper_gradcheck::strategies::{Fill, reals};
use taper_gradcheck::{GradCheck, Report, assert_gradients};

fn inputs(rows: usize, channels: usize, fill: Fill) -> [Tensor; 2] {
    let scale = Fill { seed: !fill.seed, ..fill };
    [fill.tensor(&[rows, channels], DType::F64).unwrap(), scale.tensor(&[channels], DType::F64).unwrap()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn gradients(rows in 1..=5_usize, channels in 1..=4_usize, fill in reals()) {
        let [x, scale] = inputs(rows, channels, fill);
        assert_gradients!(|x, scale| channel_scale(x, scale), [x, scale], linear_in([0, 1]), forbid_wasted_gradients());
        let f = |x: &[Tensor]| channel_scale(&x[0], &x[1]);
        GradCheck::new("channel_scale").check_second_order(f, &[x, scale]).unwrap().assert_passed();
    }
}

#[test]
fn the_first_try_is_found() {
    let check = |rows| -> Report {
        let f = |x: &[Tensor]| channel_scale_first_try(&x[0], &x[1]);
        let fill = Fill { kind: taper_gradcheck::strategies::Kind::AwayFromZero, seed: 1 };
        GradCheck::new("first try").check(f, &inputs(rows, 3, fill)).unwrap()
    };
    // With one row a mean is a sum: this is why shapes are drawn.
    check(1).assert_passed();
    assert!(check(4).to_string().contains("numeric ÷ 4 everywhere"));
}
