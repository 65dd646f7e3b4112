//! The file-type model's post-processor: from its scores to a label, as sure as the
//! model's own settings ask for.

mod table;

pub use table::{Table, Verdict};

use consort_sdk::{Assets, Datatype, Error, Example, Outputs, Plugin, Postprocess, Signature};
use file_type_content_types::{ANSWER, CONFIG_ASSET, ContentTypes, parse, refuse_config};

/// The name of the model's output.
const SCORES: &str = "target_label";

/// The plugin.
#[derive(Debug)]
pub struct FileLabels {
    table: Table,
}

consort_sdk::export!(FileLabels: postprocess);

// === impl FileLabels ===

impl Plugin for FileLabels {
    fn init(config: &str, assets: &Assets) -> Result<Self, Error> {
        refuse_config(config)?;
        let raw = parse(assets, CONFIG_ASSET)?;
        let types = ContentTypes::from_assets(assets)?;
        Ok(Self {
            table: Table::new(raw, &types)?,
        })
    }
}

impl FileLabels {
    /// What each of the model's outputs means.
    pub fn table(&self) -> &Table {
        &self.table
    }
}

impl Postprocess for FileLabels {
    fn describe(&self) -> Signature {
        let signature = Signature::new().input(SCORES, Datatype::Fp32, [self.table.len()]);
        ANSWER
            .iter()
            .fold(signature, |signature, (name, datatype)| {
                signature.output(name, *datatype, [1])
            })
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let scores = example.read::<f32>(SCORES)?;
        let verdict = self
            .table
            .verdict(&scores)
            .map_err(|error| error.within(format_args!("tensor \"{SCORES}\"")))?;
        Ok(verdict.content_type.answer(verdict.score)?)
    }
}

#[cfg(test)]
mod tests;
