//! The linear layer against PyTorch's state dicts.

#[path = "support/state_dict.rs"]
mod state_dict;

use state_dict::StateDicts;
use taper_layers::Linear;

#[test]
fn pytorchs_state_dicts() {
    let mut golden = StateDicts::read("linear");
    golden.hold("linear", |vb| Linear::new(7, 5, vb));
    golden.hold("linear_no_bias", |vb| Linear::no_bias(4, 6, vb));
    golden.finish();
}
