//! How batch and instance normalisation are configured: alike, but for the defaults.

/// A configuration, and whether it has parameters and running statistics by default.
macro_rules! config {
    ($config:ident, $layer:ident, $default:literal, $yes_or_no:literal) => {
        #[doc = concat!("What [`", stringify!($layer), "`](crate::", stringify!($layer), ") adds, learns and keeps.")]
        ///
        /// ```
        #[doc = concat!("use taper_layers::", stringify!($config), ";")]
        ///
        #[doc = concat!("let config = ", stringify!($config), "::default().eps(1e-3).momentum(0.01).bias(false);")]
        /// assert_eq!((config.eps, config.momentum, config.bias), (1e-3, Some(0.01), false));
        #[doc = concat!("assert_eq!((config.affine, config.track_running_stats), (", $default, ", ", $default, "));")]
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $config {
            /// What is added to the variance, default 10⁻⁵.
            pub eps: f64,
            /// The share of each batch in the running statistics, default 0.1; `None` for the average of all.
            pub momentum: Option<f64>,
            #[doc = concat!("Whether there is a weight, default ", $yes_or_no, ".")]
            pub affine: bool,
            /// Whether there is a bias beside the weight, default yes.
            pub bias: bool,
            #[doc = concat!("Whether there are running statistics, for evaluation, default ", $yes_or_no, ".")]
            pub track_running_stats: bool,
        }

        impl Default for $config {
            fn default() -> Self {
                Self { eps: 1e-5, momentum: Some(0.1), affine: $default, bias: true, track_running_stats: $default }
            }
        }

        impl $config {
            /// Sets what is added to the variance, default 10⁻⁵.
            pub fn eps(self, eps: f64) -> Self {
                Self { eps, ..self }
            }

            /// Sets the share of each batch in the running statistics, default 0.1; `None` for the average of all.
            pub fn momentum(self, momentum: impl Into<Option<f64>>) -> Self {
                Self { momentum: momentum.into(), ..self }
            }

            #[doc = concat!("Sets whether there is a weight, default ", $yes_or_no, ".")]
            pub fn affine(self, affine: bool) -> Self {
                Self { affine, ..self }
            }

            /// Sets whether there is a bias beside the weight, default yes.
            pub fn bias(self, bias: bool) -> Self {
                Self { bias, ..self }
            }

            #[doc = concat!("Sets whether there are running statistics, default ", $yes_or_no, ".")]
            pub fn track_running_stats(self, track_running_stats: bool) -> Self {
                Self { track_running_stats, ..self }
            }
        }
    };
}

config!(BatchNormConfig, BatchNorm, true, "yes");
config!(InstanceNormConfig, InstanceNorm, false, "no");
