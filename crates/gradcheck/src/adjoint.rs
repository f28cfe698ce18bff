//! The adjoint identity, which needs no differences: ⟨f(u), v⟩ = ⟨u, fᵀ(v)⟩.

use crate::check::GradCheck;
use crate::error::{Error, Result};
use crate::function::values;
use crate::random::Random;
use crate::report::{Assertion, Report};
use candle_core::{DType, Tensor};

const DRAWS: u64 = 4;

impl GradCheck {
    /// Holds a linear function and what should be its transpose against each other: `⟨f(u), v⟩ = ⟨u, transpose(v)⟩` for
    /// random u and v of both signs, to rounding.
    ///
    /// A convolution and its input gradient are such a pair, and so are padding and cropping. `like` gives the shape and
    /// the device of u; the dtype is the one checked in.
    ///
    /// # Errors
    /// Where one of the functions fails, or returns another dtype.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use taper_gradcheck::GradCheck;
    ///
    /// let like = Tensor::new(&[[1f64, 2., 3.]], &Device::Cpu)?;
    /// let pad = |x: &Tensor| x.pad_with_zeros(1, 1, 2);
    /// let crop = |y: &Tensor| y.narrow(1, 1, 3);
    /// GradCheck::new("pad").adjoint(pad, crop, &like).unwrap().assert_passed();
    ///
    /// let shifted = |y: &Tensor| y.narrow(1, 2, 3);
    /// assert!(!GradCheck::new("pad").adjoint(pad, shifted, &like).unwrap().passed());
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn adjoint<E: Into<candle_core::Error>>(
        &self,
        f: impl Fn(&Tensor) -> Result<Tensor, E>,
        transpose: impl Fn(&Tensor) -> Result<Tensor, E>,
        like: &Tensor,
    ) -> Result<Report> {
        let mut report = self.empty_report();
        for draw in 0..DRAWS {
            let mut random = Random::new(self.seed.wrapping_add(draw));
            let mut signed = |like: &Tensor| -> Result<Tensor> {
                let weights = random.signed(like.elem_count());
                Ok(Tensor::from_vec(weights, like.shape(), like.device())?.to_dtype(self.dtype)?)
            };
            let u = signed(like)?;
            let fu = self.applied(&f, &u)?;
            let v = signed(&fu)?;
            let ftv = self.applied(&transpose, &v)?;
            if ftv.dims() != u.dims() {
                let detail = format!("the transpose returns {:?}, not the input's shape {:?}", ftv.dims(), u.dims());
                report.fail(Assertion::Adjoint, None, detail);
                break;
            }
            let ((left, left_size), (right, right_size)) = (dot(&fu, &v)?, dot(&u, &ftv)?);
            let epsilon = if self.dtype == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
            let gap = (left - right).abs();
            if gap.is_nan() || gap > 64.0 * epsilon * (left_size + right_size) {
                report.fail(Assertion::Adjoint, None, format!("⟨f(u), v⟩ = {left:e} but ⟨u, fᵀ(v)⟩ = {right:e}"));
                break;
            }
        }
        Ok(report)
    }

    fn applied<E: Into<candle_core::Error>>(
        &self,
        f: &impl Fn(&Tensor) -> Result<Tensor, E>,
        x: &Tensor,
    ) -> Result<Tensor> {
        let y = f(x).map_err(|source| Error::Function { name: self.name.clone(), source: source.into() })?;
        if y.dtype() == self.dtype {
            Ok(y)
        } else {
            Err(Error::OutputDType { name: self.name.clone(), expected: self.dtype, found: y.dtype() })
        }
    }
}

/// ⟨a, b⟩ in float64, and the sum of its terms' sizes, at whose scale it rounds.
fn dot(a: &Tensor, b: &Tensor) -> Result<(f64, f64)> {
    let (a, b) = (values(a)?, values(b)?);
    Ok(a.iter().zip(&b).fold((0.0, 0.0), |(sum, size), (a, b)| (sum + a * b, size + (a * b).abs())))
}
