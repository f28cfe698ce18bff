//! What can be asserted of a value, without any derivative.
//!
//! A difference quotient agrees with its own wrong forward: these properties are what can see one.

use crate::assertions::apart;
use crate::check::GradCheck;
use crate::error::Result;
use crate::function::{Function, gradients, values, weighted_sum};
use crate::layouts;
use crate::random::Random;
use crate::report::{Assertion, Report};
use candle_core::{Tensor, Var};

impl GradCheck {
    /// Strided, offset and broadcast inputs give the value (and, where there are gradients, the gradients) of contiguous
    /// ones: every [`MemoryLayout`](crate::MemoryLayout) of every input, alone and (up to 2¹⁵ elements) in pairs.
    ///
    /// [`check`](Self::check) asserts this too; here it is without the differences.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use taper_gradcheck::GradCheck;
    ///
    /// let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// GradCheck::new("sqr").layout_invariance(|x: &[Tensor]| x[0].sqr(), &[x]).unwrap().assert_passed();
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn layout_invariance<E: Into<candle_core::Error>>(
        &self,
        f: impl Fn(&[Tensor]) -> Result<Tensor, E>,
        inputs: &[Tensor],
    ) -> Result<Report> {
        self.property(f, inputs, |f, report| layouts::inputs(f, &crate::run::Point::new(self, f)?, &Vec::new(), report))
    }

    /// A sample's value does not depend on the batch around it: `f(x)[n] = f(x[n])` for the inputs in `batched`, which
    /// have the batch on axis 0, as the value does; and a permuted batch gives the permuted value.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    ///
    /// ```
    /// use candle_core::{D, Device, Tensor};
    /// use taper_gradcheck::GradCheck;
    ///
    /// let x = Tensor::new(&[[0.5f64, -2.], [3., 4.], [1., 7.]], &Device::Cpu)?;
    /// let centred = |axis: usize| move |x: &[Tensor]| x[0].broadcast_sub(&x[0].mean_keepdim(axis)?);
    /// let check = GradCheck::new("centred");
    /// assert!(check.batch_invariance(centred(1), &[x.clone()], &[0]).unwrap().passed());
    /// assert!(!check.batch_invariance(centred(0), &[x], &[0]).unwrap().passed());
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn batch_invariance<E: Into<candle_core::Error>>(
        &self,
        f: impl Fn(&[Tensor]) -> Result<Tensor, E>,
        inputs: &[Tensor],
        batched: &[usize],
    ) -> Result<Report> {
        self.property(f, inputs, |f, report| {
            let whole = f.value(&f.tensors())?;
            let samples = whole.dim(0)?;
            let rows = |picked: &Tensor| -> Result<Tensor> {
                let mut arguments = f.tensors();
                for &k in batched {
                    arguments[k] = arguments[k].index_select(picked, 0)?;
                }
                f.value(&arguments)
            };
            for n in 0..samples {
                let alone = rows(&Tensor::new(&[n as u32], whole.device())?)?;
                if let Some(difference) = apart(f, &values(&alone)?, &values(&whole.narrow(0, n, 1)?)?) {
                    report.fail(
                        Assertion::BatchInvariance,
                        None,
                        format!("sample {n} alone gives another value {difference}"),
                    );
                    return Ok(());
                }
            }
            let order: Vec<u32> = (0..samples as u32).rev().collect();
            let order = Tensor::new(order, whole.device())?;
            let expected = values(&whole.contiguous()?.index_select(&order, 0)?)?;
            if let Some(difference) = apart(f, &values(&rows(&order)?)?, &expected) {
                report.fail(
                    Assertion::BatchInvariance,
                    None,
                    format!("the reversed batch gives another value {difference}"),
                );
            }
            Ok(())
        })
    }

    /// A shifted input gives the shifted value: where input `k` moves by `by` along `axis`, the value moves by `moves`
    /// along the same axis. Compared are the positions at least `border` from either end of the value's axis, which must
    /// see no end of the input: the entries that move in are zero.
    ///
    /// # Errors
    /// As for [`check`](Self::check), and where the input has no such axis.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use taper_gradcheck::{GradCheck, Shift};
    ///
    /// let x = Tensor::arange(0f64, 24., &Device::Cpu)?.sin()?.reshape((1, 2, 12))?;
    /// let w = Tensor::new(&[[[0.5f64, -2., 1.], [1., 0.5, 3.]]], &Device::Cpu)?;
    /// let conv = |x: &[Tensor]| x[0].conv1d(&x[1], 1, 2, 1, 1);
    /// let shift = Shift { input: 0, axis: 2, by: 2, moves: 1, border: 2 };
    /// GradCheck::new("conv1d").shift_equivariance(conv, &[x, w], shift).unwrap().assert_passed();
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn shift_equivariance<E: Into<candle_core::Error>>(
        &self,
        f: impl Fn(&[Tensor]) -> Result<Tensor, E>,
        inputs: &[Tensor],
        shift: Shift,
    ) -> Result<Report> {
        self.property(f, inputs, |f, report| {
            let Shift { input, axis, by, moves, border } = shift;
            let still = f.value(&f.tensors())?;
            let mut arguments = f.tensors();
            let x = &arguments[input];
            let by = by.min(x.dim(axis)?);
            arguments[input] = x.narrow(axis, 0, x.dim(axis)? - by)?.pad_with_zeros(axis, by, 0)?;
            let moved = f.value(&arguments)?;
            let Some(extent) = still.dim(axis)?.checked_sub(2 * border + moves).filter(|extent| *extent > 0) else {
                report.notes.push("the border leaves no position to compare".into());
                return Ok(());
            };
            let (still, moved) = (still.narrow(axis, border, extent)?, moved.narrow(axis, border + moves, extent)?);
            if let Some(difference) = apart(f, &values(&moved)?, &values(&still)?) {
                report.fail(Assertion::ShiftEquivariance, None, format!("the value does not move along {difference}"));
            }
            Ok(())
        })
    }

    /// `f(a·x + b·z) = a·f(x) + b·f(z)` in each input that was declared [linear](Self::linear_in), up to a constant.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use taper_gradcheck::GradCheck;
    ///
    /// let x = Tensor::new(&[0.5f64, -2., 3.], &Device::Cpu)?;
    /// let check = GradCheck::new("f").linear_in([0]);
    /// assert!(check.linearity(|x: &[Tensor]| x[0].affine(3., 1.), &[x.clone()]).unwrap().passed());
    /// assert!(!check.linearity(|x: &[Tensor]| x[0].relu(), &[x]).unwrap().passed());
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn linearity<E: Into<candle_core::Error>>(
        &self,
        f: impl Fn(&[Tensor]) -> Result<Tensor, E>,
        inputs: &[Tensor],
    ) -> Result<Report> {
        const WEIGHTS: [f64; 2] = [2.0, -0.75];
        self.property(f, inputs, |f, report| {
            let zero = |k: usize| vec![0.0; f.inputs[k].tensor.elem_count()];
            for k in f.variables().into_iter().filter(|&k| f.inputs[k].linear) {
                let x = f.inputs[k].values()?;
                let z = Random::new(self.seed ^ 0x11AE_A12E).signed(x.len());
                let sum = x.iter().zip(&z).map(|(x, z)| WEIGHTS[0] * x + WEIGHTS[1] * z).collect();
                let [of_sum, of_x, of_z, constant] =
                    [f.value_with(k, sum)?, f.value_with(k, x)?, f.value_with(k, z)?, f.value_with(k, zero(k))?];
                let rest = 1.0 - WEIGHTS[0] - WEIGHTS[1];
                let expected: Vec<f64> = (0..of_sum.len())
                    .map(|i| WEIGHTS[0] * of_x[i] + WEIGHTS[1] * of_z[i] + rest * constant[i])
                    .collect();
                if let Some(difference) = apart(f, &of_sum, &expected) {
                    let detail = format!("a sum does not give the sum of the values {difference}");
                    report.fail(Assertion::Linear, Some(&f.inputs[k].name), detail);
                }
            }
            Ok(())
        })
    }

    /// Two ways to compute one function agree bit for bit, in the value and in the gradients: at one and at several
    /// threads, fused and not, or two algorithms on integers, whose sums are exact.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use taper_gradcheck::GradCheck;
    ///
    /// let x = Tensor::new(&[0.5f64, -2., 3.], &Device::Cpu)?;
    /// let (once, twice) = (|x: &[Tensor]| x[0].affine(2., 0.), |x: &[Tensor]| &x[0] + &x[0]);
    /// GradCheck::new("2x").same_bits(once, twice, &[x]).unwrap().assert_passed();
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn same_bits<E: Into<candle_core::Error>, F: Into<candle_core::Error>>(
        &self,
        f: impl Fn(&[Tensor]) -> Result<Tensor, E>,
        g: impl Fn(&[Tensor]) -> Result<Tensor, F>,
        inputs: &[Tensor],
    ) -> Result<Report> {
        let second = |arguments: &[Tensor]| g(arguments).map_err(Into::into);
        let second = self.function(&second, inputs)?;
        self.property(f, inputs, |first, report| {
            let (left, right) = (bits(self, first)?, bits(self, &second)?);
            if left.len() != right.len() {
                report.fail(Assertion::SameBits, None, "only one of the two has gradients");
            }
            for ((what, left), (_, right)) in left.iter().zip(&right) {
                if left != right {
                    let at = left.iter().zip(right).position(|(left, right)| left != right);
                    let at = at.map_or("their sizes differ".into(), |at| format!("the first at element {at}"));
                    report.fail(Assertion::SameBits, None, format!("{what} differs, {at}"));
                }
            }
            Ok(())
        })
    }

    fn property<E: Into<candle_core::Error>>(
        &self,
        f: impl Fn(&[Tensor]) -> Result<Tensor, E>,
        inputs: &[Tensor],
        holds: impl FnOnce(&Function<'_>, &mut Report) -> Result<()>,
    ) -> Result<Report> {
        let call = |arguments: &[Tensor]| f(arguments).map_err(Into::into);
        let mut report = self.empty_report();
        holds(&self.function(&call, inputs)?, &mut report)?;
        Ok(report)
    }
}

/// How an input and the value move together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// The number of the input that moves.
    pub input: usize,
    /// The axis that it moves along.
    pub axis: usize,
    /// How far it moves.
    pub by: usize,
    /// How far the value moves: `by ÷ stride` for a convolution.
    pub moves: usize,
    /// How much of the value at either end is left out.
    pub border: usize,
}

/// The bits of the value and of every gradient, by name.
fn bits(check: &GradCheck, f: &Function<'_>) -> Result<Vec<(String, Vec<u64>)>> {
    let point = crate::run::Point::new(check, f)?;
    let read = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<u64>>();
    let mut all = vec![("the value".to_owned(), read(point.y.clone()))];
    let mut leaves = f.tensors();
    for k in f.variables() {
        leaves[k] = Var::from_tensor(&leaves[k])?.as_tensor().clone();
    }
    let found = gradients(&weighted_sum(&f.value(&leaves)?, &point.cotangent)?, &leaves);
    for (k, gradient) in found.into_iter().flatten().enumerate() {
        let gradient = gradient.as_ref().map(values).transpose()?.unwrap_or_default();
        all.push((format!("the gradient of `{}`", f.inputs[k].name), read(gradient)));
    }
    Ok(all)
}
