//! A part of a data set, and how a data set is parted.

use std::sync::Arc;

use super::order::{by_class, permuted};
use super::{Dataset, Draws, Sample};
use crate::{Error, Result};

/// Some samples of a data set, in an order of their own. It shares the data set, and copies no sample.
///
/// ```
/// use taper_trainer::data::{Dataset, InMemoryDataset, Subset};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let dataset = InMemoryDataset::new(vec![0.0, 1.0, 2.0, 3.0], &[1], vec![5, 6, 7, 8])?;
/// let subset = Subset::new(dataset, vec![3, 1])?;
/// assert_eq!((subset.len(), subset.target(0)?), (2, 8));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Subset {
    dataset: Arc<dyn Dataset>,
    indices: Vec<usize>,
}

impl Subset {
    /// The samples of `dataset` at `indices`.
    ///
    /// # Errors
    /// When an index is not below the number of samples.
    pub fn new(dataset: impl Dataset + 'static, indices: Vec<usize>) -> Result<Self> {
        let len = dataset.len();
        if let Some(index) = indices.iter().find(|index| **index >= len) {
            let value = format!("{index} for {len} samples");
            return Err(Error::Value {
                op: "Subset",
                argument: "indices",
                expected: "below the number of samples",
                value,
            });
        }
        Ok(Self { dataset: Arc::new(dataset), indices })
    }

    /// Which samples of the whole data set these are.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn input_shape(&self) -> &[usize] {
        self.dataset.input_shape()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        self.dataset.get(self.inner(index)?)
    }

    fn target(&self, index: usize) -> Result<u32> {
        self.dataset.target(self.inner(index)?)
    }
}

impl Subset {
    fn inner(&self, index: usize) -> Result<usize> {
        self.indices.get(index).copied().ok_or_else(|| Error::Value {
            op: "Subset",
            argument: "index",
            expected: "less than the number of samples",
            value: index.to_string(),
        })
    }
}

impl std::fmt::Debug for Subset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subset").field("samples", &self.len()).finish_non_exhaustive()
    }
}

/// Parts a data set at random in two, such as training and validation: `fraction` of the samples, rounded to a whole
/// number, go to the second part, the others to the first. Each part keeps the data set's order.
///
/// Source: PyTorch's `random_split`.
///
/// # Errors
/// When `fraction` is not between 0 and 1.
///
/// ```
/// use taper_trainer::data::{Dataset, InMemoryDataset, random_split};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let dataset = InMemoryDataset::new(vec![0.0; 50], &[1], vec![0; 50])?;
/// let (train, validation) = random_split(dataset, 0.1, 42)?;
/// assert_eq!((train.len(), validation.len()), (45, 5));
/// # Ok(())
/// # }
/// ```
pub fn random_split(dataset: impl Dataset + 'static, fraction: f64, seed: u64) -> Result<(Subset, Subset)> {
    let groups = vec![(0..dataset.len()).collect()];
    split("random_split", dataset, groups, fraction, seed)
}

/// Parts a data set at random in two that hold the classes in the same shares: `fraction` of the samples of each class,
/// rounded to a whole number, go to the second part, the others to the first. Each part keeps the data set's order.
///
/// Source: scikit-learn's `train_test_split` with `stratify`, which rounds so that the whole fraction is met instead.
///
/// # Errors
/// When `fraction` is not between 0 and 1, or a target cannot be read.
///
/// ```
/// use taper_trainer::data::{InMemoryDataset, stratified_split};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let rare = (0..50).map(|i| u32::from(i % 10 == 0)).collect();
/// let dataset = InMemoryDataset::new(vec![0.0; 50], &[1], rare)?;
/// let (_, validation) = stratified_split(dataset, 0.2, 42)?;
/// assert_eq!(validation.indices().iter().filter(|index| *index % 10 == 0).count(), 1);
/// # Ok(())
/// # }
/// ```
pub fn stratified_split(dataset: impl Dataset + 'static, fraction: f64, seed: u64) -> Result<(Subset, Subset)> {
    let groups = by_class(&dataset)?;
    split("stratified_split", dataset, groups, fraction, seed)
}

fn split(
    op: &'static str,
    dataset: impl Dataset + 'static,
    groups: Vec<Vec<usize>>,
    fraction: f64,
    seed: u64,
) -> Result<(Subset, Subset)> {
    if !(0.0..=1.0).contains(&fraction) {
        let value = fraction.to_string();
        return Err(Error::Value { op, argument: "fraction", expected: "between 0 and 1", value });
    }
    let mut draws = Draws::for_split(seed);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for group in groups {
        let taken = (group.len() as f64 * fraction).round() as usize;
        let mut shuffled = permuted(group, &mut draws);
        first.extend(shuffled.split_off(taken));
        second.extend(shuffled);
    }
    first.sort_unstable();
    second.sort_unstable();
    let dataset: Arc<dyn Dataset> = Arc::new(dataset);
    Ok((Subset { dataset: Arc::clone(&dataset), indices: first }, Subset { dataset, indices: second }))
}
