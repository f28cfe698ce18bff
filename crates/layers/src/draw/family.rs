//! What layers are drawn in one colour.

/// A family of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Convolution,
    Pooling,
    Normalisation,
    Activation,
    Dropout,
    Linear,
    Shape,
    Other,
}

impl Family {
    /// In the order of the legend.
    pub(super) const ALL: [Self; 8] = [
        Self::Convolution,
        Self::Pooling,
        Self::Normalisation,
        Self::Activation,
        Self::Dropout,
        Self::Linear,
        Self::Shape,
        Self::Other,
    ];

    /// The family of a layer by its kind, `Conv2d`.
    pub(super) fn of(kind: &str) -> Self {
        const ACTIVATIONS: [&str; 25] = [
            "CELU",
            "ELU",
            "GELU",
            "GLU",
            "Hardshrink",
            "Hardsigmoid",
            "Hardswish",
            "Hardtanh",
            "LeakyReLU",
            "LogSigmoid",
            "LogSoftmax",
            "Mish",
            "PReLU",
            "ReLU",
            "ReLU6",
            "SELU",
            "SiLU",
            "Sigmoid",
            "Softmax",
            "Softplus",
            "Softshrink",
            "Softsign",
            "Tanh",
            "Tanhshrink",
            "Threshold",
        ];
        const SHAPES: [&str; 6] = ["Flatten", "Upsample", "PixelShuffle", "PixelUnshuffle", "Unfold", "Fold"];
        match kind {
            _ if kind.starts_with("Conv") => Self::Convolution,
            _ if kind.contains("Pool") || kind.contains("Unpool") => Self::Pooling,
            _ if kind.contains("Norm") => Self::Normalisation,
            _ if kind.contains("Drop") => Self::Dropout,
            "Linear" => Self::Linear,
            _ if ACTIVATIONS.contains(&kind) => Self::Activation,
            _ if SHAPES.contains(&kind) || kind.contains("Pad") => Self::Shape,
            _ => Self::Other,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Convolution => "convolution",
            Self::Pooling => "pooling",
            Self::Normalisation => "normalisation",
            Self::Activation => "activation",
            Self::Dropout => "dropout",
            Self::Linear => "linear",
            Self::Shape => "shape",
            Self::Other => "other",
        }
    }

    /// One that is seen on white and on black.
    pub(super) fn colour(self) -> &'static str {
        match self {
            Self::Convolution => "#4379b3",
            Self::Pooling => "#4f9a50",
            Self::Normalisation => "#a0709a",
            Self::Activation => "#d9a12a",
            Self::Dropout => "#8f8f8f",
            Self::Linear => "#d0524f",
            Self::Shape => "#5fa8a3",
            Self::Other => "#b58863",
        }
    }
}
