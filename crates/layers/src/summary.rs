//! What a network is made of and what it costs, as a table.

use crate::{Layer, LayerCall, observe};
use candle_core::{DType, Device, Result, Shape, Tensor};
use std::collections::HashSet;
use std::fmt::{Display, Formatter};
use taper_ops::Mode;

/// The layers of a network in the order of their calls: see [`summary`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The shape of the input.
    pub input_shape: Vec<usize>,
    /// A row a call.
    pub rows: Vec<SummaryRow>,
}

/// One call of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRow {
    /// Its place in the network, `conv1`; the kind of a layer that has no parameters.
    pub name: String,
    /// What it is, `Conv2d`.
    pub kind: String,
    /// The layer in full, as it displays itself.
    pub text: String,
    /// The shape of its input.
    pub input_shape: Vec<usize>,
    /// The shape of its output.
    pub output_shape: Vec<usize>,
    /// The number of its parameters that no earlier row has counted; `None` where it is not known.
    pub parameters: Option<usize>,
    /// Its multiply-adds; `None` where they are not known.
    pub multiply_adds: Option<u64>,
    /// The bytes of its output. A view of its input, such as a flattened one, counts as if it were a copy.
    pub output_bytes: u64,
    /// The bytes of the parameters that no earlier row has counted; `None` where they are not known.
    pub parameter_bytes: Option<u64>,
}

/// Runs `layer` once, in evaluation, on zeros of `input_shape` (batch included), and tells what each leaf layer makes
/// of it: output shape, parameters, multiply-adds of convolutions and linear maps, and memory.
///
/// # Errors
/// Those of the forward pass.
///
/// ```
/// use candle_core::{DType, Device};
/// use taper_layers::{Conv2d, Conv2dConfig, Flatten, Linear, Sequential, VarStore, summary};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let vb = store.builder();
/// let net = Sequential::new()
///     .add(Conv2d::new(1, 3, [2, 3], Conv2dConfig::default(), vb.pp("conv"))?)
///     .add(Flatten::default())
///     .add(Linear::new(18, 10, vb.pp("fc"))?);
/// let summary = summary(&net, (1, 1, 4, 4), DType::F32, &Device::Cpu)?;
/// assert_eq!(summary.parameters(), 3 * 6 + 3 + 18 * 10 + 10);
/// assert_eq!(summary.multiply_adds(), 18 * 6 + 18 * 10);
/// assert_eq!(summary.activation_bytes(), 4 * (18 + 18 + 10));
/// println!("{summary}");
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn summary(layer: &dyn Layer, input_shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Summary> {
    let x = Tensor::zeros(input_shape, dtype, device)?;
    let (output, calls) = observe(|| layer.forward_in(&x, &Mode::eval()));
    output?;
    let mut counted = HashSet::new();
    let rows = calls.into_iter().map(|call| {
        let [input_shape, output_shape] = [&call.input, &call.output].map(|tensor| tensor.dims().to_vec());
        let output_bytes = bytes(&call.output);
        let multiply_adds = call.cost.as_ref().map(|cost| cost.multiply_adds);
        let new: Option<Vec<Tensor>> =
            call.cost.map(|cost| cost.parameters.into_iter().filter(|tensor| counted.insert(tensor.id())).collect());
        let parameters = new.as_ref().map(|new| new.iter().map(Tensor::elem_count).sum());
        let parameter_bytes = new.map(|new| new.iter().map(bytes).sum());
        let LayerCall { name, kind, text, .. } = call;
        SummaryRow {
            name,
            kind,
            text,
            input_shape,
            output_shape,
            parameters,
            multiply_adds,
            output_bytes,
            parameter_bytes,
        }
    });
    Ok(Summary { input_shape: x.dims().to_vec(), rows: rows.collect() })
}

fn bytes(tensor: &Tensor) -> u64 {
    (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64
}

impl Summary {
    /// The number of parameters in all, a shared one counted once.
    pub fn parameters(&self) -> usize {
        self.rows.iter().filter_map(|row| row.parameters).sum()
    }

    /// The multiply-adds in all.
    pub fn multiply_adds(&self) -> u64 {
        self.rows.iter().filter_map(|row| row.multiply_adds).sum()
    }

    /// The bytes of the parameters in all. Gradients take as many again in training, and AdamW's state twice as many.
    pub fn parameter_bytes(&self) -> u64 {
        self.rows.iter().filter_map(|row| row.parameter_bytes).sum()
    }

    /// The bytes of all outputs, about what training keeps for the backward pass. Memory grows with the batch.
    pub fn activation_bytes(&self) -> u64 {
        self.rows.iter().map(|row| row.output_bytes).sum()
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let known = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), thousands);
        let head = ["Layer", "Kind", "Output shape", "Parameters", "Multiply-adds", "Activations"];
        let mut cells = vec![head.map(str::to_owned)];
        cells.extend(self.rows.iter().map(|row| {
            let name = if row.name == row.kind { "" } else { &row.name };
            let (shape, memory) = (format!("{:?}", row.output_shape), binary(row.output_bytes));
            let parameters = known(row.parameters.map(|count| count as u64));
            [name.to_owned(), row.kind.clone(), shape, parameters, known(row.multiply_adds), memory]
        }));
        let numbers = [self.parameters() as u64, self.multiply_adds()].map(thousands);
        let [parameters, multiply_adds] = numbers;
        let memory = binary(self.activation_bytes());
        cells.push(["Total".to_owned(), String::new(), String::new(), parameters, multiply_adds, memory]);

        let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let [w0, w1, w2, w3, w4, w5] = std::array::from_fn(width);
        let mut lines = Vec::with_capacity(cells.len() + 2);
        for [name, kind, shape, parameters, adds, memory] in &cells {
            let line = format!("{name:w0$}  {kind:w1$}  {shape:w2$}  {parameters:>w3$}  {adds:>w4$}  {memory:>w5$}");
            lines.push(line);
        }
        let rule = "-".repeat(w0 + w1 + w2 + w3 + w4 + w5 + 10);
        lines.insert(lines.len() - 1, rule.clone());
        lines.insert(1, rule);
        lines.push(format!("Memory of the parameters: {}", binary(self.parameter_bytes())));
        f.write_str(&lines.join("\n"))
    }
}

/// `640 B`, `12.5 KiB`, `3.0 MiB`.
fn binary(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            let digits = usize::from(unit != "B");
            return format!("{size:.digits$} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
