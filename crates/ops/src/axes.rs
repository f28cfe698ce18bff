//! A number an axis, given as one number for all axes or as one for each.

/// One number for each of `D` spatial axes, in the order (height, width) in two dimensions.
///
/// Specs take `impl Into<Axes<D>>`, so a square stride is `2` and a rectangular one `[2, 1]`.
///
/// ```
/// use taper_ops::Axes;
///
/// assert_eq!(Axes::<2>::from(3), Axes([3, 3]));
/// assert_eq!(Axes::from([3, 5]), Axes([3, 5]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Axes<const D: usize>(pub [usize; D]);

impl<const D: usize> From<usize> for Axes<D> {
    fn from(value: usize) -> Self {
        Self([value; D])
    }
}

impl<const D: usize> From<[usize; D]> for Axes<D> {
    fn from(values: [usize; D]) -> Self {
        Self(values)
    }
}
