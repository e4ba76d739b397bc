use super::{MAX_LAYERS, MAX_SCALER, MAX_WEIGHT, MAX_WIDTH};

/// Why parts are not codes.
///
/// Parts that come from a caller are that caller's mistake; parts that come from storage are damage. The codes cannot tell which, so
/// whoever read them says so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// No layer, or too many.
    #[error("a code has 1 to {MAX_LAYERS} layers, not {layers}")]
    Layers {
        /// How many there were.
        layers: usize,
    },
    /// Not one weight per layer.
    #[error("{layers} layers need as many weights, not {weights}")]
    Weights {
        /// Layers of the shape.
        layers: usize,
        /// Weights that came with it.
        weights: usize,
    },
    /// A layer without bits, or with more than the score is exact for.
    #[error("layer {layer} has {width} bits; a layer has 1 to {MAX_WIDTH}")]
    Width {
        /// The layer.
        layer: usize,
        /// Its width in bits.
        width: u32,
    },
    /// A layer weight outside its range.
    #[error("layer {layer} has weight {weight}; a weight is finite and in 0..={MAX_WEIGHT}")]
    Weight {
        /// The layer.
        layer: usize,
        /// Its weight.
        weight: f32,
    },
    /// More or fewer bit planes than a query can have.
    #[error("{planes} bit planes; a query has 1 to {most}")]
    Planes {
        /// What was asked for or stored.
        planes: u32,
        /// The most there can be: eight, or the planes that are stored.
        most: u32,
    },
    /// A part does not have the number of elements its shape asks for.
    #[error("the {part} have {found} elements where the shape needs {expected}")]
    Length {
        /// Words, scalers or values.
        part: &'static str,
        /// Elements the shape needs.
        expected: usize,
        /// Elements there are.
        found: usize,
    },
    /// A bit past the width of its layer is set.
    #[error("row {row}, layer {layer}: bits past the layer's width are set; clear them")]
    Tail {
        /// The row.
        row: usize,
        /// The layer.
        layer: usize,
    },
    /// A scaler outside its range.
    #[error(
        "row {row}, layer {layer}: scaler {scaler} is not finite and in 0..={MAX_SCALER}; leave out NaN, infinite and negative ones, and divide all of the layer by one factor where they are too large"
    )]
    Scaler {
        /// The row.
        row: usize,
        /// The layer.
        layer: usize,
        /// The scaler.
        scaler: f32,
    },
    /// A value to encode is NaN or infinite.
    #[error("row {row}, layer {layer}: a value is NaN or infinite")]
    NotFinite {
        /// The row.
        row: usize,
        /// The layer.
        layer: usize,
    },
    /// No such row.
    #[error("row {row} of {rows}")]
    Row {
        /// The row asked for.
        row: usize,
        /// Rows there are.
        rows: usize,
    },
    /// Two operands of a score have different shapes.
    #[error("the query and the items have codes of different shapes")]
    ShapeMismatch,
}

impl CodeError {
    /// Checks the length of one part.
    pub(crate) fn check_length(part: &'static str, expected: usize, found: usize) -> Result<(), Self> {
        if expected == found { Ok(()) } else { Err(Self::Length { part, expected, found }) }
    }
}
