//! Where the gradients of a value go: its token in candle's graph, and its inbox.

use super::pass::Pass;
use super::{saved, sum};
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, TensorId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::ThreadId;

/// The edges of the values that operators made and that are alive.
static EDGES: RwLock<Option<HashMap<TensorId, Edge>>> = RwLock::new(None);

/// `x` in another shape, by way of candle. Its gradient becomes `x`'s without a pass over memory where an operator made `x`.
pub(crate) fn reshape(x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    let y = x.reshape(shape.into())?;
    if y.id() != x.id()
        && let Some(before) = Edge::to(x)
    {
        let (inbox, life, shape) = (Arc::new(Inbox::default()), before.life.clone(), x.shape().clone());
        let token = before.token.clone().apply_op1(Reshaped { shape, before, inbox: inbox.clone() })?;
        Edge::register(&y, token, inbox, life);
    }
    Ok(y)
}

/// Where gradients of a value go.
#[derive(Clone)]
pub(super) struct Edge {
    token: Tensor,
    inbox: Arc<Inbox>,
    life: Arc<Life>,
}

impl Edge {
    /// Lets [`Edge::to`] find an edge to `value` as long as `life` is not over.
    pub(super) fn register(value: &Tensor, token: Tensor, inbox: Arc<Inbox>, life: Arc<Life>) {
        lock(&life.0).push(value.id());
        let mut edges = EDGES.write().unwrap_or_else(PoisonError::into_inner);
        edges.get_or_insert_default().insert(value.id(), Self { token, inbox, life });
    }

    /// The edge to `value`; `None` where candle's operators or nobody made it.
    pub(super) fn to(value: &Tensor) -> Option<Self> {
        EDGES.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(&value.id()).cloned()
    }

    /// What stands for the value among the arguments of the nodes that come after it.
    pub(super) fn token(&self) -> &Tensor {
        &self.token
    }

    /// Leaves a gradient of `value`; gives that of the token.
    pub(super) fn put(&self, pass: Option<Pass>, value: &Tensor, grad: &Tensor) -> Result<Tensor> {
        self.inbox.put(pass, value, grad)
    }
}

/// The identities of a value and its views by which their edges are found. It is over when candle's node of the value is
/// dropped: candle tells of no view's end, so that one that is dropped before keeps its entry until then.
#[derive(Default)]
pub(super) struct Life(Mutex<Vec<TensorId>>);

impl Life {
    /// Forgets the edges.
    pub(super) fn end(&self) {
        let ids = std::mem::take(&mut *lock(&self.0));
        let forgotten: Vec<Option<Edge>> = {
            let mut edges = EDGES.write().unwrap_or_else(PoisonError::into_inner);
            edges.iter_mut().flat_map(|edges| ids.iter().map(|id| edges.remove(id))).collect()
        };
        // With an edge may go the last of the values before it, whose lives end likewise: not under the lock.
        drop(forgotten);
    }
}

/// Gradients of one value, until its operator's turn.
#[derive(Default)]
pub(super) struct Inbox(Mutex<Vec<Arrived>>);

struct Arrived {
    /// Which pass left it; where that is one of candle's own, on which thread.
    sender: Sender,
    value: Tensor,
    grad: Tensor,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sender {
    Ours(Pass),
    Candles(ThreadId),
}

impl Sender {
    fn candles() -> Self {
        Self::Candles(std::thread::current().id())
    }
}

impl Inbox {
    /// Leaves a gradient of `value`, which a backward function may use like what forward saved. Gives the token's gradient.
    ///
    /// A second one of the same pass is added to the first, which so need not wait; candle's own passes cannot be told apart
    /// but by their thread, on which one may run within another.
    pub(super) fn put(self: &Arc<Self>, pass: Option<Pass>, value: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (value, mut grad) = (saved(value)?, saved(grad)?);
        let sender = pass.map_or_else(Sender::candles, Sender::Ours);
        if let Some(pass) = pass {
            let before = lock(&self.0).extract_if(.., |arrived| arrived.sender == sender).next();
            match before {
                Some(before) => grad = sum(&before.grad, &grad)?,
                None => pass.will_clear(self),
            }
        }
        lock(&self.0).push(Arrived { sender, value, grad });
        counted(pass)
    }

    /// The value, and the sum of its gradients that `counts`, the token's gradient, tells of; and the pass.
    pub(super) fn take(&self, counts: &Tensor) -> Result<(Tensor, Tensor, Option<Pass>)> {
        let (of_candle, pass) = read(counts)?;
        let expected = of_candle + usize::from(pass.is_some());
        let mut arrived = lock(&self.0);
        let (mut missing, mut taken) = (of_candle, Vec::with_capacity(expected));
        // Of candle's those that came last: the earlier ones are of a pass within which this one runs.
        for i in (0..arrived.len()).rev() {
            let sender = arrived[i].sender;
            let candles = sender == Sender::candles() && missing > 0;
            if candles || pass.is_some_and(|pass| sender == Sender::Ours(pass)) {
                missing -= usize::from(candles);
                taken.push(arrived.remove(i));
            }
        }
        drop(arrived);
        taken.reverse();
        if taken.len() != expected {
            candle_core::bail!(
                "a backward pass found {} of {expected} gradients of a value; run it alone on its thread",
                taken.len()
            );
        }
        let mut taken = taken.into_iter();
        let Some(Arrived { value, mut grad, .. }) = taken.next() else {
            candle_core::bail!("a backward pass met a value without a gradient")
        };
        for next in taken {
            grad = sum(&grad, &next.grad)?;
        }
        Ok((value, grad, pass))
    }

    /// Drops what `pass` left.
    pub(super) fn clear(&self, pass: Pass) {
        let left: Vec<Arrived> = lock(&self.0).extract_if(.., |arrived| arrived.sender == Sender::Ours(pass)).collect();
        drop(left);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value of a token.
pub(super) fn token() -> (CpuStorage, Shape) {
    (CpuStorage::F64(vec![0.; 3]), Shape::from(3))
}

/// The gradient of a token for one gradient in the inbox: how many came in candle's passes, how many in `pass`, and its number
/// as often.
pub(super) fn counted(pass: Option<Pass>) -> Result<Tensor> {
    let counts = pass.map_or([1., 0., 0.], |pass| [0., 1., pass.number() as f64]);
    Tensor::new(&counts, &Device::Cpu)
}

/// How many gradients came in candle's passes, and the pass of ours in which there came some.
fn read(counts: &Tensor) -> Result<(usize, Option<Pass>)> {
    match counts.to_vec1::<f64>()?[..] {
        [of_candle, ours, numbers] => {
            Ok((of_candle as usize, (ours > 0.).then(|| Pass::numbered((numbers / ours) as u64))))
        }
        _ => candle_core::bail!("the gradient of a token has the shape {:?}", counts.shape()),
    }
}

/// The node whose value is the token of a value in another shape.
struct Reshaped {
    shape: Shape,
    before: Edge,
    inbox: Arc<Inbox>,
}

impl CustomOp1 for Reshaped {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(token())
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, counts: &Tensor) -> Result<Option<Tensor>> {
        let (value, grad, pass) = self.inbox.take(counts)?;
        self.before.put(pass, &value.reshape(&self.shape)?, &grad.reshape(&self.shape)?).map(Some)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::{backward, flatten, relu, tanh};
    use candle_core::Var;

    fn known(id: TensorId) -> bool {
        EDGES.read().unwrap().as_ref().is_some_and(|edges| edges.contains_key(&id))
    }

    fn waiting(edge: &Edge) -> usize {
        lock(&edge.inbox.0).len()
    }

    #[test]
    fn an_edge_lives_as_long_as_its_value() {
        let x = Var::new(&[[1f32, 2.]], &Device::Cpu).unwrap();
        let y = tanh(&x).unwrap();
        let view = flatten(&y, 0).unwrap();
        let z = relu(&view).unwrap();
        let ids = [&y, &view, &z].map(Tensor::id);
        assert!(ids.into_iter().all(known));
        drop((y, view));
        assert!(ids.into_iter().all(known), "z keeps what it was made of");
        backward(&z).unwrap();
        drop(z);
        assert!(!ids.into_iter().any(known));
    }

    #[test]
    fn no_pass_leaves_gradients() {
        let x = Var::new(&[[1f32, 2.]], &Device::Cpu).unwrap();
        let pruned = relu(&x.affine(0., 1.).unwrap()).unwrap();
        let y = tanh(&x).unwrap();
        let loss = crate::add_relu(&pruned, &y).unwrap();
        let edges = [&pruned, &y, &loss].map(|value| Edge::to(value).unwrap());
        backward(&loss).unwrap();
        assert!(edges.iter().all(|edge| waiting(edge) == 0));
    }
}
