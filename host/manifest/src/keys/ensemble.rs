//! `[ensemble.NAME]`.

use super::files::FileTensor;
use super::output::Outputs;
use super::step::Step;
use super::{BYTES_MAX, COUNT_MAX, TIME_MS_MAX};
use crate::place::{Located, Place};
use crate::rule::collection::{Keyed, List, Map, Named, Repeated, Table};
use crate::rule::either::OneOrMany;
use crate::rule::number::{Bytes, Whole};
use crate::rule::text::{COLUMN, TENSOR, Text, VERSION};
use crate::section::{Default, Optional, OwnName, OwnPlace, Required, independent, section};

/// The most steps of one ensemble.
const STEPS_MAX: usize = 256;
/// The most tensors that an ensemble takes or gives.
const TENSORS_MAX: usize = 1024;
/// Tensors of a request or a prediction.
const TENSORS: List<Text<String>> = List {
    item: TENSOR,
    min: 1,
    max: TENSORS_MAX,
};
/// Columns that make up one tensor.
const COLUMNS: List<Text<String>> = List {
    item: COLUMN,
    min: 1,
    max: 65_536,
};

section! {
    /// Steps that are served as one. A step runs as soon as the tensors it reads are there,
    /// and steps that do not need one another run at the same time. A step reads the tensor
    /// of a name that was made last before it in the text, or else one that a later step
    /// makes. Unless `inputs` and `outputs` say it, the ensemble takes what its first step
    /// reads, and gives the last step's outputs.
    pub struct Ensemble {
        /// The ensemble's name. Models and ensembles share their names.
        pub name: Located<String> = OwnName;
        /// Where the table is.
        pub place: Place = OwnPlace;
        /// The version that the ensemble is served under.
        pub version: Located<String> = Default(VERSION, "\"1\"");
        /// The steps.
        pub step: Located<Vec<Step>> =
            Required(Repeated { max: STEPS_MAX, of: Table::new() });
        /// The tensors of a request, in this order. Without it, those that the first step
        /// reads. What they are is what the steps that read them say.
        pub inputs: Option<Located<Vec<Located<String>>>> = Optional(TENSORS);
        /// The tensors of the prediction, whichever step makes them: a list of their names, or
        /// a table with a name of its own for each, `{ label = "y" }`. Others do not leave the
        /// ensemble. Without it, the last step's outputs.
        pub outputs: Option<Located<Vec<Named<String>>>> = Optional(Outputs::new(TENSORS));
        /// How `consort run` makes an example of a file: a table for each tensor.
        pub files: Located<Vec<FileTensor>> =
            Default(Map { keys: TENSOR, item: Table::new() }, "{}");
        /// How `consort run` makes an example of a line of a table (CSV, Parquet): the column
        /// of each tensor, or the columns that make up its elements.
        pub columns: Located<Vec<Named<Vec<Located<String>>>>> =
            Default(Map { keys: TENSOR, item: Keyed(OneOrMany(COLUMNS)) }, "{}");
        /// The column of a line's key. Without it, the line's number.
        pub key_column: Option<Located<String>> = Optional(COLUMN);
        /// How long an example may take through all steps, in milliseconds. Without it,
        /// as long as its request allows.
        pub timeout_ms: Option<Located<u64>> = Optional(Whole::new(1, TIME_MS_MAX, 5000));
        /// The most examples under way in it at once. More are refused at once.
        pub max_inflight: Located<usize> = Default(Whole::new(1, COUNT_MAX, 65_536), "65536");
        /// The most bytes of tensors under way in it at once. More are refused at once.
        pub max_inflight_bytes: Located<u64> = Default(Bytes::new(1, BYTES_MAX), "\"1 GiB\"");
    }
}

independent!(Ensemble);

// === impl Ensemble ===

impl Ensemble {
    /// Its steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.step.value
    }
}
