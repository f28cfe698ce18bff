//! A backward pass that [`backward_with`](super::backward_with()) began, and the gradients of variables that it puts aside
//! instead of having them added to zeros.

use super::edge::Inbox;
use super::sum;
use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// A pass by its number, which no other has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pass(u64);

/// What a pass that runs has put aside, and where it left gradients.
struct Running {
    pass: Pass,
    grads: GradStore,
    inboxes: Vec<Weak<Inbox>>,
}

thread_local! {
    /// The passes of this thread, one within the other.
    static RUNNING: RefCell<Vec<Running>> = const { RefCell::new(Vec::new()) };
}

impl Pass {
    /// Runs `f`, the backward pass of candle that it stands for; gives the gradients of all variables.
    pub(super) fn run(f: impl FnOnce(Self) -> Result<GradStore>) -> Result<GradStore> {
        /// Ends the pass however it ends.
        struct End;

        impl Drop for End {
            fn drop(&mut self) {
                drop(end());
            }
        }

        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let pass = Self(NUMBER.fetch_add(1, Ordering::Relaxed));
        let running = Running { pass, grads: GradStore::default(), inboxes: Vec::new() };
        RUNNING.with_borrow_mut(|passes| passes.push(running));
        let on_failure = End;
        let of_candle = f(pass)?;
        std::mem::forget(on_failure);
        let mut grads = end();
        grads.extend(of_candle)?;
        Ok(grads)
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }

    pub(super) fn numbered(number: u64) -> Self {
        Self(number)
    }

    /// Puts a gradient of `variable` aside.
    pub(super) fn collect(self, variable: &Tensor, grad: Tensor) -> Result<()> {
        let before = self.with(|running| running.grads.remove(variable)).flatten();
        let grad = before.map_or_else(|| Ok(grad.clone()), |before| sum(&before, &grad))?;
        self.with(|running| running.grads.insert(variable, grad));
        Ok(())
    }

    /// Has gradients dropped that are still in `inbox` at the end.
    pub(super) fn will_clear(self, inbox: &Arc<Inbox>) {
        self.with(|running| running.inboxes.push(Arc::downgrade(inbox)));
    }

    /// What `f` gives for this pass, which runs on this thread.
    fn with<R>(self, f: impl FnOnce(&mut Running) -> R) -> Option<R> {
        RUNNING.with_borrow_mut(|passes| passes.iter_mut().find(|running| running.pass == self).map(f))
    }
}

/// Ends the innermost pass. None of its gradients is left where candle did not come to their operator.
fn end() -> GradStore {
    let Some(Running { pass, grads, inboxes }) = RUNNING.with_borrow_mut(Vec::pop) else { return GradStore::default() };
    inboxes.iter().filter_map(Weak::upgrade).for_each(|inbox| inbox.clear(pass));
    grads
}
