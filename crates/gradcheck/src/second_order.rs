//! Second derivatives: the gradient function is checked like any other.
//!
//! candle's backward pass detaches every incoming gradient, so that the gradient of a gradient is silently wrong, unless
//! an environment variable was set when the thread first ran a backward pass. That switch is thrown here, for a thread of
//! the check's own.

use crate::check::GradCheck;
use crate::error::Result;
use crate::function::{gradients, weighted_sum};
use crate::random::Random;
use crate::report::{Assertion, Report};
use candle_core::{Device, Tensor, Var};
use std::ffi::OsString;
use std::sync::{Mutex, PoisonError, mpsc};

const SWITCH: &str = "CANDLE_GRAD_DO_NOT_DETACH";
/// candle's backward pass recurses over the graph, which is twice as deep here.
const STACK: usize = 16 << 20;

impl GradCheck {
    /// Checks the second derivatives: `(inputs, c) ↦ Jᵀc`, the gradient itself, as a function to be differentiated.
    ///
    /// Run [`check`](Self::check) first: this holds the gradient against its own differences, not against the function's.
    /// An operator whose `bwd` is not built of tracked operators fails here, for its second derivatives are lost.
    ///
    /// # Cost
    /// A thread of its own, because candle reads the switch `CANDLE_GRAD_DO_NOT_DETACH` once a thread. While that thread
    /// starts, some microseconds, the variable is set for the whole process, under a lock: another thread that runs its
    /// *first* backward pass at that moment keeps the graphs of its gradients from then on, which costs memory and changes
    /// no number. Where C code of the process might read the environment at the same time, set the variable for the whole
    /// process instead (`[env]` in `.cargo/config.toml`): then nothing is set here. Each evaluation runs a backward pass,
    /// so the check takes about three times as long as one of the first order.
    ///
    /// # Errors
    /// As for [`check`](Self::check), and where the thread cannot be started.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use taper_gradcheck::GradCheck;
    ///
    /// let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu)?;
    /// GradCheck::new("x³").check_second_order(|x: &[Tensor]| x[0].powf(3.), &[x]).unwrap().assert_passed();
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn check_second_order<F, E>(&self, f: F, inputs: &[Tensor]) -> Result<Report>
    where
        F: Fn(&[Tensor]) -> Result<Tensor, E> + Sync,
        E: Into<candle_core::Error>,
    {
        let call = |arguments: &[Tensor]| f(arguments).map_err(Into::into);
        on_attached_thread(|| self.second_order(&call, inputs))?
    }

    fn second_order(
        &self,
        call: &(dyn Fn(&[Tensor]) -> candle_core::Result<Tensor> + Sync),
        inputs: &[Tensor],
    ) -> Result<Report> {
        let f = self.function(call, inputs)?;
        let variables = f.variables();
        let value = f.value(&f.tensors())?;
        let weights = Random::new(!self.seed).signed(value.elem_count());
        let cotangent = Tensor::from_vec(weights, value.shape(), value.device())?.to_dtype(f.dtype)?;

        let check = self.of_gradient(inputs.len());
        if let Err(failed) = f.vjp(&f.all_tracked(), &cotangent)? {
            let mut report = check.empty_report();
            report.fail(Assertion::Backward, None, failed.0);
            return Ok(report);
        }
        let gradient = |arguments: &[Tensor]| {
            let (cotangent, inputs) = arguments.split_last().ok_or_else(|| candle_core::Error::msg("no arguments"))?;
            let mut leaves = inputs.to_vec();
            for &k in &variables {
                leaves[k] = Var::from_tensor(&leaves[k])?.as_tensor().clone();
            }
            let loss = weighted_sum(&call(&leaves)?, cotangent)?;
            let found = gradients(&loss, &leaves).map_err(|failed| candle_core::Error::Msg(failed.0))?;
            let flat = |k: &usize| match &found[*k] {
                Some(gradient) => gradient.flatten_all(),
                None => leaves[*k].zeros_like()?.flatten_all(),
            };
            Tensor::cat(&variables.iter().map(flat).collect::<candle_core::Result<Vec<_>>>()?, 0)
        };
        let arguments: Vec<Tensor> = f.tensors().into_iter().chain([cotangent]).collect();
        check.run(&check.function(&gradient, &arguments)?)
    }

    /// The same check of the gradient function, which takes the cotangent as one more input and is linear in it.
    fn of_gradient(&self, inputs: usize) -> Self {
        let mut check =
            self.clone().linear_in([inputs]).without(Assertion::InputLayout).without(Assertion::CotangentLayout);
        // Its leaves must be variables: it has no use for a computed input.
        check = check.without(Assertion::FanOut);
        check.name = format!("{}, second order", self.name);
        check.names = (0..inputs).map(|k| self.input_name(k)).chain(["cotangent".into()]).collect();
        check
    }
}

/// Runs `work` on a fresh thread where candle keeps incoming gradients attached, so that gradients have gradients.
///
/// # Cost
/// That of [`GradCheck::check_second_order`], whose thread this is.
///
/// # Errors
/// Where the thread cannot be started.
///
/// ```
/// use candle_core::{Device, Var};
///
/// let second = taper_gradcheck::on_attached_thread(|| -> candle_core::Result<f64> {
///     let x = Var::new(3f64, &Device::Cpu)?;
///     let first = x.powf(3.)?.backward()?;
///     let second = first.get(&x).map(|gradient| gradient.backward()).transpose()?;
///     second.and_then(|second| second.get(&x).map(|x| x.to_scalar())).unwrap_or(Ok(0.))
/// });
/// assert!((second.unwrap()? - 18.).abs() < 1e-12);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn on_attached_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    static TURN: Mutex<()> = Mutex::new(());
    std::thread::scope(|scope| {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let switch = Switch::on();
        let (primed, wait) = mpsc::channel();
        let body = move || {
            let result = prime();
            // The receiver waits until this arrives or is dropped.
            let _ = primed.send(());
            result.map(|()| work())
        };
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, body);
        if thread.is_ok() {
            let _ = wait.recv();
        }
        drop(switch);
        drop(turn);
        match thread.map_err(candle_core::Error::from)?.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Makes candle read its switch for this thread.
fn prime() -> Result<()> {
    let one = Var::new(1f64, &Device::Cpu)?;
    one.sqr()?.backward()?;
    Ok(())
}

/// The switch while it is thrown; restored when dropped.
struct Switch {
    restore: Option<Option<OsString>>,
}

impl Switch {
    fn on() -> Self {
        let before = std::env::var_os(SWITCH);
        if before.as_ref().is_some_and(|value| !value.is_empty() && value != "0") {
            return Self { restore: None };
        }
        // SAFETY: every reader and writer within Rust takes the standard library's own lock, and writers of this variable
        // the caller's; the documentation of `check_second_order` says what to do beside C code that reads the environment.
        unsafe { std::env::set_var(SWITCH, "1") };
        Self { restore: Some(before) }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        match &self.restore {
            None => (),
            // SAFETY: as in `on`.
            Some(Some(before)) => unsafe { std::env::set_var(SWITCH, before) },
            // SAFETY: as in `on`.
            Some(None) => unsafe { std::env::remove_var(SWITCH) },
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_switch_is_restored() {
        let before = std::env::var_os(SWITCH);
        on_attached_thread(|| ()).expect("a thread starts");
        assert_eq!(std::env::var_os(SWITCH), before);
    }
}
