//! How numbers are distributed.

/// As many as TensorBoard's own summaries have.
const BUCKETS: usize = 30;

/// TensorBoard's `HistogramProto`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) sum_squares: f64,
    /// The upper end of each bucket; the first begins at `min`.
    pub(super) limits: Vec<f64>,
    pub(super) counts: Vec<f64>,
}

/// The finite ones of `values` in buckets of equal width, in one if they are equal; `None` if there are none.
pub(super) fn of(values: &[f64]) -> Option<Histogram> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (min, max) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
    let buckets = if min < max { BUCKETS } else { 1 };
    // Parts of both ends, since their distance may be infinite; and never back, where it is a few roundings.
    let [low, high] = [min, max].map(|end| end / buckets as f64);
    let limit = |bucket: usize| low * (buckets - bucket) as f64 + high * bucket as f64;
    let mut limits: Vec<f64> = (1..buckets).map(limit).map(|limit| limit.clamp(min, max)).chain([max]).collect();
    limits.sort_by(f64::total_cmp);
    let mut counts = vec![0.0; buckets];
    for value in finite() {
        counts[limits.partition_point(|limit| *limit < value).min(buckets - 1)] += 1.0;
    }
    let (sum, sum_squares) = (finite().sum(), finite().map(|value| value * value).sum());
    Some(Histogram { min, max, count: finite().count() as f64, sum, sum_squares, limits, counts })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn counted(histogram: &Histogram) -> usize {
        histogram.counts.iter().sum::<f64>() as usize
    }

    #[test]
    fn every_finite_number_is_in_the_bucket_that_ends_at_or_above_it() {
        let values: Vec<f64> = (0..=60).map(f64::from).chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY]).collect();
        let histogram = of(&values).unwrap();
        assert_eq!((histogram.min, histogram.max, histogram.count), (0.0, 60.0, 61.0));
        assert_eq!((histogram.sum, histogram.sum_squares), (1830.0, 60.0 * 61.0 * 121.0 / 6.0));
        // 0, 1 and 2 are in the bucket up to 2, then two in each.
        assert_eq!(histogram.limits[..3], [2.0, 4.0, 6.0]);
        assert_eq!(histogram.counts, [[3.0].as_slice(), &[2.0; 29]].concat());
    }

    #[test]
    fn equal_numbers_are_one_bucket_and_no_numbers_are_none() {
        let equal = of(&[-1.5, -1.5]).unwrap();
        assert_eq!((equal.limits, equal.counts), (vec![-1.5], vec![2.0]));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[f64::NAN]), None);
    }

    #[test]
    fn the_widest_range_of_numbers_has_finite_buckets() {
        let widest = of(&[f64::MIN, 0.0, f64::MAX]).unwrap();
        assert!(widest.limits.iter().all(|limit| limit.is_finite()), "{:?}", widest.limits);
        assert!(widest.limits.is_sorted());
        assert_eq!(counted(&widest), 3);
        let narrowest = of(&[1.0, 1.0 + f64::EPSILON]).unwrap();
        assert!(narrowest.limits.is_sorted() && counted(&narrowest) == 2, "{narrowest:?}");
    }
}
