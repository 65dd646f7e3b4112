//! The example `tabular`: scikit-learn and the models that it trains. The environment is the
//! one that `consort import` makes for scikit-learn, XGBoost and LightGBM, so that the tests of
//! the import use it too.

use super::scripted::{Script, Scripted};
use crate::failure::Failure;
use crate::layout::Layout;
use crate::progress::Progress;

pub(super) const MODELS: Scripted = Scripted {
    example: "tabular",
    packages: include_str!("../../../import/requirements/tabular.txt"),
    makes: ("models", "training"),
    sources: &[],
    scripts: &[Script {
        name: "train.py",
        arguments: &[""],
    }],
    result: None,
};

/// Makes sure that environment and models are there.
pub(crate) fn install(layout: &Layout, progress: Progress) -> Result<(), Failure> {
    MODELS.environment(layout, progress)?;
    MODELS.make(layout, progress)
}
