//! What layers share: PyTorch's initialisation, and its way of printing numbers.

use candle_nn::Init;

/// `U(−1/√fan_in, 1/√fan_in)`: PyTorch's `kaiming_uniform_(a=√5)` for weights, and its rule for biases.
pub(crate) fn fan_in_uniform(fan_in: usize) -> Init {
    let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

/// `(5, 3)`, and `(5,)` for a single entry.
pub(crate) fn tuple<T: std::fmt::Debug>(entries: impl AsRef<[T]>) -> String {
    match entries.as_ref() {
        [entry] => format!("({entry:?},)"),
        entries => format!("({})", entries.iter().map(|entry| format!("{entry:?}")).collect::<Vec<_>>().join(", ")),
    }
}

/// `3` for equal numbers, else `(5, 3)`.
pub(crate) fn number_or_tuple<const D: usize>(numbers: [usize; D]) -> String {
    if numbers.iter().all(|number| *number == numbers[0]) { numbers[0].to_string() } else { tuple(numbers) }
}

/// `True` or `False`.
pub(crate) fn flag(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// A number as Python prints it: `1.0`, `1e-05`.
pub(crate) fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    match scientific.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?))) {
        Some((digits, exponent)) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        Some(_) => format!("{value:?}"),
        None => scientific.to_lowercase(),
    }
}

/// The same, or `None`.
pub(crate) fn float_or_none(value: Option<f64>) -> String {
    value.map_or_else(|| "None".to_owned(), float)
}
