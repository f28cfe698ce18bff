//! The cross entropy and its gradients on slices.
//!
//! Logarithms and sums are kept in float64, whatever the logits are: they cost nothing beside the exponentials.

use super::spec::{Loss, Target};
use crate::parallel::{build, for_each_item};
use crate::simd::Tier;
use crate::softmax::max_and_sum;
use crate::storage::Element;
use crate::{Reduction, Result};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// An exponential, in simple operations.
const EXP: usize = 16;

/// What turns a position's logits into probabilities: `−log p = (max − x) + log_sum`. Kept apart, because their sum would
/// lose a small `log_sum` beside a large `max`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Normaliser {
    max: f64,
    log_sum: f64,
}

impl Normaliser {
    #[inline(always)]
    fn neg_log_p<T: Element>(self, x: T) -> f64 {
        (self.max - x.to_f64()) + self.log_sum
    }

    #[inline(always)]
    fn scaled_p<T: Element>(self, x: T, scale: f64) -> T {
        T::from_f64(scale * T::from_f64(-self.neg_log_p(x)).vexp().to_f64())
    }
}

/// What the positions should have been.
#[derive(Clone, Copy)]
enum Targets<'a, T> {
    Classes(&'a [Option<usize>]),
    /// None at all for what does not ask.
    Probabilities(Option<&'a [T]>),
}

impl<'a, T> Targets<'a, T> {
    fn new(loss: &'a Loss, target: Option<&'a [T]>) -> Result<Self> {
        Ok(match &loss.target {
            Target::Classes(classes) => Self::Classes(classes.on_host("cross_entropy")?),
            Target::Probabilities => Self::Probabilities(target),
        })
    }
}

/// One position of the logits: where its classes lie, and what it should have been.
struct Position<'a, T> {
    loss: &'a Loss,
    index: usize,
    first: usize,
    targets: Targets<'a, T>,
}

impl<'a, T: Element> Position<'a, T> {
    fn new(loss: &'a Loss, targets: Targets<'a, T>, index: usize) -> Self {
        Self { loss, index, first: loss.dims.at(index, 0), targets }
    }

    fn at(&self, class: usize) -> usize {
        self.first + class * self.loss.dims.inner
    }

    fn ignored(&self) -> bool {
        matches!(self.targets, Targets::Classes(classes) if classes[self.index].is_none())
    }

    /// The classes whose share may differ from 0.
    fn shared(&self) -> Range<usize> {
        match self.targets {
            Targets::Classes(classes) if self.loss.label_smoothing == 0. => {
                classes[self.index].map_or(0..0, |class| class..class + 1)
            }
            _ => 0..self.loss.dims.classes,
        }
    }

    /// q[n, c], the weight of −log p[n, c] in the loss of a position that is not ignored.
    fn share(&self, class: usize) -> f64 {
        let target = match self.targets {
            Targets::Classes(classes) => f64::from(classes[self.index] == Some(class)),
            Targets::Probabilities(target) => target.map_or(0., |target| target[self.at(class)].to_f64()),
        };
        let smoothing = self.loss.label_smoothing;
        self.loss.weight.of(class) * ((1. - smoothing) * target + smoothing / self.loss.dims.classes as f64)
    }
}

pub(super) fn normalisers<T: Element>(loss: &Loss, x: &[T]) -> Vec<Normaliser> {
    let classes = loss.dims.classes;
    build(loss.dims.positions(), Normaliser::default(), 1, classes * EXP, |index, out| {
        if loss.dims.inner == 1 {
            let (max, sum) = max_and_sum(&x[index * classes..][..classes]);
            out[0] = Normaliser { max: max.to_f64(), log_sum: sum.ln() };
            return;
        }
        let position = Position::<T>::new(loss, Targets::Probabilities(None), index);
        let logits = || (0..classes).map(|class| x[position.at(class)]);
        let max = logits().fold(T::neg_infinity(), num_traits::Float::max);
        let sum: f64 = logits().map(|x| (x - max).vexp().to_f64()).sum();
        out[0] = Normaliser { max: max.to_f64(), log_sum: sum.ln() };
    })
}

/// The losses of the positions, reduced as the loss says; always added in the order of the positions.
pub(super) fn forward<T: Element>(
    loss: &Loss,
    x: &[T],
    target: Option<&[T]>,
    normalisers: &[Normaliser],
) -> Result<Vec<T>> {
    let targets = Targets::new(loss, target)?;
    let classes = loss.dims.classes;
    let mut losses = vec![0f64; loss.dims.positions()];
    for_each_item(&mut losses, 1, classes, |index, out| {
        let position = Position::new(loss, targets, index);
        if position.ignored() {
            return;
        }
        out[0] = position
            .shared()
            .map(|class| match position.share(class) {
                // 0 · log 0 = 0: a logit of −∞ excludes a class that is no target.
                0. => 0.,
                share => share * normalisers[index].neg_log_p(x[position.at(class)]),
            })
            .sum();
    });
    Ok(match loss.reduction {
        Reduction::None => losses.into_iter().map(T::from_f64).collect(),
        Reduction::Sum | Reduction::Mean | Reduction::BatchMean => {
            vec![T::from_f64(losses.iter().fold(0., |sum, loss| sum + loss) / loss.divisor)]
        }
    })
}

pub(super) fn logits_grad<T: Element>(
    loss: &Loss,
    x: &[T],
    target: Option<&[T]>,
    dy: &[T],
    normalisers: &[Normaliser],
) -> Result<Vec<T>> {
    let targets = Targets::new(loss, target)?;
    Ok(for_each_position(loss, targets, EXP, |position, first, dx| {
        let dy = position_grad(loss, dy, position.index);
        let mass: f64 = position.shared().map(|class| position.share(class)).sum();
        let normaliser = normalisers[position.index];
        let scale = dy * mass;
        if loss.dims.inner == 1 {
            Tier::best().run(Probabilities { x: &x[first..], normaliser, scale, out: dx });
        } else {
            for class in 0..loss.dims.classes {
                let at = position.at(class);
                dx[at - first] = normaliser.scaled_p(x[at], scale);
            }
        }
        for class in position.shared() {
            let dx = &mut dx[position.at(class) - first];
            *dx = T::from_f64(dx.to_f64() - dy * position.share(class));
        }
    }))
}

/// The probabilities of one position's classes, which lie side by side, times `scale`.
struct Probabilities<'a, T> {
    x: &'a [T],
    normaliser: Normaliser,
    scale: f64,
    out: &'a mut [T],
}

impl<T: Element> WithSimd for Probabilities<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, normaliser, scale, out } = self;
        for (out, &x) in out.iter_mut().zip(x) {
            *out = normaliser.scaled_p(x, scale);
        }
    }
}

/// The gradient of class probabilities.
pub(super) fn target_grad<T: Element>(loss: &Loss, x: &[T], dy: &[T], normalisers: &[Normaliser]) -> Vec<T> {
    for_each_position(loss, Targets::Probabilities(None), 1, |position: Position<'_, T>, first, dtarget| {
        let dy = position_grad(loss, dy, position.index);
        for class in 0..loss.dims.classes {
            let at = position.at(class);
            let share = loss.weight.of(class) * (1. - loss.label_smoothing);
            dtarget[at - first] = T::from_f64(dy * share * normalisers[position.index].neg_log_p(x[at]));
        }
    })
}

/// An output of the logits' shape, 0 where ignored; `f` gets each position, and the sample's run of the output with the
/// index of its first element. `cost` is the work of an element.
fn for_each_position<T: Element>(
    loss: &Loss,
    targets: Targets<'_, T>,
    cost: usize,
    f: impl Fn(Position<'_, T>, usize, &mut [T]) + Sync,
) -> Vec<T> {
    let (inner, sample) = (loss.dims.inner, loss.dims.classes * loss.dims.inner);
    build(loss.dims.samples * sample, T::zero(), sample, sample * cost, |n, run| {
        for index in n * inner..(n + 1) * inner {
            let position = Position::new(loss, targets, index);
            if !position.ignored() {
                f(position, n * sample, run);
            }
        }
    })
}

fn position_grad<T: Element>(loss: &Loss, dy: &[T], position: usize) -> f64 {
    let dy = match loss.reduction {
        Reduction::None => dy[position],
        Reduction::Sum | Reduction::Mean | Reduction::BatchMean => dy[0],
    };
    dy.to_f64() / loss.divisor
}
