//! An operator on the CPU as two nodes of candle's graph, between which gradients pass from hand to hand.
//!
//! At every edge candle fills a tensor with zeros and adds the gradient to it: three passes over memory, which take longer
//! than a small operator's kernel. Here the nodes of operators are connected by tokens of three numbers instead, by which
//! candle finds the order, and an operator hands its gradients to those before it itself:
//!
//! ```text
//! x ← token of y ← y        y = f(x): candle's own operators see y, and what comes from them reaches its token
//!            ↑
//!         token of z ← z    z = g(y): the gradient of y goes to the inbox of y's token; candle carries a count of it
//! ```
//!
//! A gradient that comes alone is moved, not added. Those of variables are moved as well in a [`Pass`] of ours, whose number
//! the counts tell.

use super::edge::{Edge, Inbox, Life, token};
use crate::operator::{Grads, Operator};
use crate::storage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use std::sync::{Arc, Mutex, PoisonError};

type Output = Result<(CpuStorage, Shape)>;

/// The value of `operator`, recorded in candle's graph; the operator itself where an input is on a device or none is tracked.
pub(crate) fn record<const N: usize, O: Operator<N>>(
    operator: O,
    inputs: [&Tensor; N],
) -> std::result::Result<Result<Tensor>, O> {
    #[cfg(feature = "emulate")]
    if crate::emulation::is_on() {
        return Err(operator);
    }
    if inputs.iter().any(|input| !input.device().is_cpu()) || !inputs.iter().any(|input| input.track_op()) {
        return Err(operator);
    }
    Ok(value(Arc::new(Call { operator, inputs: inputs.map(Tensor::clone), output: Mutex::default() })))
}

fn value<const N: usize, O: Operator<N>>(call: Arc<Call<O, N>>) -> Result<Tensor> {
    match &call.inputs[..] {
        [a] => a.apply_op1_no_bwd(&*call)?,
        [a, b] => a.apply_op2_no_bwd(b, &*call)?,
        [a, b, c] => a.apply_op3_no_bwd(b, c, &*call)?,
        more => candle_core::bail!("{}: {} inputs", call.operator.name(), more.len()),
    };
    let (inbox, life) = (Arc::new(Inbox::default()), Arc::new(Life::default()));
    let node = Node { before: call.inputs.each_ref().map(Edge::to), inbox: inbox.clone(), call: call.clone() };
    let tracked = node.tracked().map(|(input, before)| before.as_ref().map_or(input, Edge::token).clone());
    let token = match &tracked.collect::<Vec<_>>()[..] {
        [a] => a.apply_op1(node)?,
        [a, b] => a.apply_op2(b, node)?,
        [a, b, c] => a.apply_op3(b, c, node)?,
        more => candle_core::bail!("{}: {} tracked inputs", node.call.operator.name(), more.len()),
    };
    let value = token.apply_op1(Value { call, inbox: inbox.clone(), life: life.clone() })?;
    Edge::register(&value, token, inbox, life);
    Ok(value)
}

/// An operator and what it is applied to.
struct Call<O, const N: usize> {
    operator: O,
    inputs: [Tensor; N],
    /// What it gave, until the node of the value takes it.
    output: Mutex<Option<(CpuStorage, Shape)>>,
}

impl<const N: usize, O: Operator<N>> Call<O, N> {
    fn run(&self, inputs: &[(&CpuStorage, &Layout)]) -> Output {
        let Ok(inputs) = inputs.try_into() else {
            candle_core::bail!("{}: expected {N} inputs, got {}", self.operator.name(), inputs.len())
        };
        let output = storage::run(&self.operator, inputs)?;
        *self.output.lock().unwrap_or_else(PoisonError::into_inner) = Some(output);
        Ok(token())
    }
}

/// The forward pass, for candle to lock the inputs' memory.
impl<const N: usize, O: Operator<N>> CustomOp1 for Call<O, N> {
    fn name(&self) -> &'static str {
        self.operator.name()
    }

    fn cpu_fwd(&self, a: &CpuStorage, a_layout: &Layout) -> Output {
        self.run(&[(a, a_layout)])
    }
}

impl<const N: usize, O: Operator<N>> CustomOp2 for Call<O, N> {
    fn name(&self) -> &'static str {
        self.operator.name()
    }

    fn cpu_fwd(&self, a: &CpuStorage, a_layout: &Layout, b: &CpuStorage, b_layout: &Layout) -> Output {
        self.run(&[(a, a_layout), (b, b_layout)])
    }
}

impl<const N: usize, O: Operator<N>> CustomOp3 for Call<O, N> {
    fn name(&self) -> &'static str {
        self.operator.name()
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
        c: &CpuStorage,
        c_layout: &Layout,
    ) -> Output {
        self.run(&[(a, a_layout), (b, b_layout), (c, c_layout)])
    }
}

/// The node of the value, for candle's operators: their gradients go to the inbox.
struct Value<O, const N: usize> {
    call: Arc<Call<O, N>>,
    inbox: Arc<Inbox>,
    life: Arc<Life>,
}

impl<const N: usize, O: Operator<N>> CustomOp1 for Value<O, N> {
    fn name(&self) -> &'static str {
        self.call.operator.name()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Output {
        match self.call.output.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(output) => Ok(output),
            None => candle_core::bail!("{}: gave nothing", self.call.operator.name()),
        }
    }

    fn bwd(&self, _: &Tensor, value: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.inbox.put(None, value, grad).map(Some)
    }
}

impl<O, const N: usize> Drop for Value<O, N> {
    fn drop(&mut self) {
        self.life.end();
    }
}

/// The node of the token: its backward pass is the operator's.
struct Node<O, const N: usize> {
    call: Arc<Call<O, N>>,
    before: [Option<Edge>; N],
    inbox: Arc<Inbox>,
}

impl<const N: usize, O: Operator<N>> Node<O, N> {
    /// The inputs that are tracked, with the edges to them.
    fn tracked(&self) -> impl Iterator<Item = (&Tensor, &Option<Edge>)> {
        self.call.inputs.iter().zip(&self.before).filter(|(input, _)| input.track_op())
    }

    /// What candle adds for the tracked inputs: gradients, or counts of gradients that went to an inbox.
    fn backward<const TRACKED: usize>(&self, counts: &Tensor) -> Grads<TRACKED> {
        let (value, grad, pass) = self.inbox.take(counts)?;
        let Call { operator, inputs, .. } = &*self.call;
        let grads = operator.backward(inputs.each_ref(), &value, &grad)?;
        let mut given = [const { None }; TRACKED];
        let of_tracked = grads.into_iter().zip(inputs).filter(|(_, input)| input.track_op());
        for ((given, (grad, _)), (input, before)) in given.iter_mut().zip(of_tracked).zip(self.tracked()) {
            *given = match (grad, before, pass) {
                (Some(grad), Some(before), _) => Some(before.put(pass, input, &grad)?),
                (Some(grad), None, Some(pass)) if input.is_variable() => {
                    pass.collect(input, grad)?;
                    None
                }
                (grad, ..) => grad,
            };
        }
        Ok(given)
    }
}

impl<const N: usize, O: Operator<N>> CustomOp1 for Node<O, N> {
    fn name(&self) -> &'static str {
        self.call.operator.name()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Output {
        Ok(token())
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, counts: &Tensor) -> Result<Option<Tensor>> {
        self.backward(counts).map(|[da]| da)
    }
}

impl<const N: usize, O: Operator<N>> CustomOp2 for Node<O, N> {
    fn name(&self) -> &'static str {
        self.call.operator.name()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Output {
        Ok(token())
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, counts: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.backward(counts).map(Into::into)
    }
}

impl<const N: usize, O: Operator<N>> CustomOp3 for Node<O, N> {
    fn name(&self) -> &'static str {
        self.call.operator.name()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Output {
        Ok(token())
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        counts: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        self.backward(counts).map(Into::into)
    }
}
