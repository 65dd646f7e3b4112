//! How a request can be wrong. Each message says what was found, where, and what is
//! expected.

use super::quoted;
use crate::status::Code;
use consort_inference::{Datatype, TensorError, UnknownDatatype};

/// A body that is no inference request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not JSON, or not the object that the protocol describes.
    #[error("{what}: {detail}")]
    Json {
        /// Malformed, or well formed but not a request.
        what: &'static str,
        /// What the reader says, with line and column.
        detail: String,
    },
    /// JSON nested too deeply.
    #[error("the JSON nests deeper than {depth_max} levels, which is the limit")]
    Depth {
        /// The limit.
        depth_max: usize,
    },
    /// The header is no length.
    #[error(
        "the header Inference-Header-Content-Length is {value}, which is no length; it takes the \
         number of bytes of the JSON at the start of the body"
    )]
    HeaderLength {
        /// What the header says, quoted.
        value: String,
    },
    /// The header is longer than the body.
    #[error(
        "the header Inference-Header-Content-Length says that {header} bytes of JSON come first, \
         but the whole body has {body} bytes"
    )]
    HeaderBeyondBody {
        /// What the header says.
        header: usize,
        /// The size of the body.
        body: usize,
    },
    /// There are no inputs at all.
    #[error("the request has no \"inputs\"; it takes a list of tensors")]
    NoInputs,
    /// An id that is too long.
    #[error("\"id\" has {length} bytes; at most {length_max} are allowed")]
    IdLength {
        /// Its length.
        length: usize,
        /// The limit.
        length_max: usize,
    },
    /// An input given twice.
    #[error("input {} is given twice", quoted(.name))]
    DuplicateInput {
        /// Its name.
        name: String,
    },
    /// An output asked for twice.
    #[error("output {} is asked for twice", quoted(.name))]
    DuplicateOutput {
        /// Its name.
        name: String,
    },
    /// A datatype that does not exist.
    #[error("input {}: {source}", quoted(.name))]
    Datatype {
        /// The input.
        name: String,
        /// What was found.
        source: UnknownDatatype,
    },
    /// A negative length of an axis.
    #[error(
        "input {}: axis {axis} of the shape is {length}; a request gives the length of every axis",
        quoted(.name)
    )]
    NegativeAxis {
        /// The input.
        name: String,
        /// Which axis.
        axis: usize,
        /// What was found.
        length: i64,
    },
    /// Data and shape do not make a tensor.
    #[error("input {}: {source}", quoted(.name))]
    Tensor {
        /// The input.
        name: String,
        /// What is wrong.
        source: TensorError,
    },
    /// Neither `data` nor `binary_data_size`.
    #[error(
        "input {} has no content: give either \"data\" or the parameter \"binary_data_size\"",
        quoted(.name)
    )]
    NoData {
        /// The input.
        name: String,
    },
    /// Both `data` and `binary_data_size`.
    #[error(
        "input {} has both \"data\" and the parameter \"binary_data_size\"; give one",
        quoted(.name)
    )]
    TwoData {
        /// The input.
        name: String,
    },
    /// A datatype without a form in JSON.
    #[error(
        "input {}: {datatype} has no form in JSON; send it with the binary tensor extension \
         (parameter \"binary_data_size\")",
        quoted(.name)
    )]
    NoJsonForm {
        /// The input.
        name: String,
        /// Its datatype.
        datatype: Datatype,
    },
    /// An element that is not of the datatype.
    #[error("input {}: {source}", quoted(.name))]
    Element {
        /// The input.
        name: String,
        /// What is wrong.
        source: ElementError,
    },
    /// `data` that is not nested like the shape, nor flat.
    #[error("input {}: {source}", quoted(.name))]
    Nesting {
        /// The input.
        name: String,
        /// What is wrong.
        source: NestingError,
    },
    /// Too few bytes behind the JSON.
    #[error(
        "input {}: binary_data_size is {size}, but only {left} bytes are left in the body: \
         {missing} bytes are missing",
        quoted(.name)
    )]
    ShortBinary {
        /// The input.
        name: String,
        /// What it says.
        size: usize,
        /// What is there.
        left: usize,
        /// The difference.
        missing: usize,
    },
    /// Binary content without the header that says where it begins.
    #[error(
        "input {} has the parameter \"binary_data_size\", but the request has no header \
         Inference-Header-Content-Length, which says where the JSON ends",
        quoted(.name)
    )]
    NoHeaderLength {
        /// The input.
        name: String,
    },
    /// Bytes that belong to no input.
    #[error(
        "{extra} bytes are left over behind the binary inputs: the JSON has {json} bytes, the \
         inputs claim {claimed}, the body has {body}"
    )]
    ExtraBinary {
        /// How many.
        extra: usize,
        /// The length of the JSON.
        json: usize,
        /// The sum of `binary_data_size`.
        claimed: usize,
        /// The size of the body.
        body: usize,
    },
    /// A `BOOL` byte other than 0 and 1.
    #[error(
        "input {}: byte {index} is {value}; BOOL takes 0 and 1",
        quoted(.name)
    )]
    BoolByte {
        /// The input.
        name: String,
        /// Which element.
        index: usize,
        /// What was found.
        value: u8,
    },
    /// A raw request to an endpoint that cannot take one.
    #[error("a raw request (Inference-Header-Content-Length: 0) cannot be taken here: {0}")]
    Raw(String),
    /// A parameter whose value cannot be used.
    #[error("parameter \"{name}\": {expected} is expected")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// A parameter that a call about the repository does not have.
    #[error("parameter {} does not exist here; there are {known}", quoted(.name))]
    UnknownParameter {
        /// Its name.
        name: String,
        /// Those that exist.
        known: &'static str,
    },
    /// A parameter that nobody may use.
    #[error("parameter {}: names beginning with \"triton_\" are reserved", quoted(.name))]
    ReservedParameter {
        /// Its name.
        name: String,
    },
    /// A part of the protocol that is not offered.
    #[error("parameter \"{parameter}\": {extension} is not offered by this server")]
    Unsupported {
        /// The parameter that asks for it.
        parameter: &'static str,
        /// What it belongs to.
        extension: &'static str,
    },
}

/// An element of `data` that is not what the datatype takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("element {index} of \"data\" is {found}; {expected}")]
pub struct ElementError {
    /// Which element, row-major.
    pub index: usize,
    /// The element as it was written, cut if it is long.
    pub found: String,
    /// What the datatype takes.
    pub expected: String,
}

/// `data` whose arrays do not fit the shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NestingError {
    /// Not an array.
    #[error("\"data\" takes an array")]
    NotArray,
    /// Too deep.
    #[error("\"data\" nests deeper than {depth_max} levels, which is the limit")]
    Depth {
        /// The limit.
        depth_max: usize,
    },
    /// Flat, with another number of elements than the shape takes.
    #[error("shape {shape:?} takes {expected} elements, but \"data\" has {actual}")]
    Count {
        /// The shape.
        shape: Vec<usize>,
        /// What it takes.
        expected: usize,
        /// What is there.
        actual: usize,
    },
    /// Nested, but not like the shape.
    #[error(
        "\"data\" is nested, and on axis {axis} it has {actual} where shape {shape:?} has \
         {expected}; nest it like the shape, or give a flat array in row-major order"
    )]
    Axis {
        /// The shape.
        shape: Vec<usize>,
        /// Which axis.
        axis: usize,
        /// What the shape has.
        expected: usize,
        /// What was found.
        actual: String,
    },
    /// Elements and arrays side by side, or at the wrong depth.
    #[error(
        "\"data\" does not nest like shape {shape:?}: near element {index} {found}; nest it like \
         the shape, or give a flat array in row-major order"
    )]
    Level {
        /// The shape.
        shape: Vec<usize>,
        /// Where.
        index: usize,
        /// What was found.
        found: &'static str,
    },
}

// === impl DecodeError ===

impl DecodeError {
    /// What became of the request.
    pub fn code(&self) -> Code {
        match self {
            Self::Unsupported { .. } => Code::Unsupported,
            _ => Code::InvalidArgument,
        }
    }

    pub(crate) fn of_json(error: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        let what = match error.classify() {
            Category::Data => "the body is JSON, but not a request of the Open Inference Protocol",
            Category::Eof => "malformed JSON, it ends too early",
            Category::Syntax | Category::Io => "malformed JSON",
        };
        Self::Json {
            what,
            detail: error.to_string(),
        }
    }
}
