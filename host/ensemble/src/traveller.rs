//! One example on its way through an ensemble.

use consort_inference::{
    Arm, Example, Failure, Key, ModelId, Origin, Prediction, TenantId, Tensors,
};

/// One example on its way.
pub(crate) struct Traveller {
    pub(crate) key: Option<Key>,
    pub(crate) tenant: TenantId,
    /// The tensors it came with, where the caller wants them back.
    pub(crate) example: Option<Tensors>,
    /// Set once it goes no further.
    pub(crate) end: Option<End>,
    maker: Option<Maker>,
    /// Which arms were taken, and in which step.
    arms: Vec<(usize, Arm)>,
    /// What failed in passing, and in which step.
    partial: Vec<(usize, Failure)>,
}

/// Why an example goes no further.
pub(crate) enum End {
    /// A step answered by itself.
    Answered(Tensors, ModelId),
    Failed(Failure),
}

/// What made the latest outputs that count as a prediction.
struct Maker {
    /// A model counts before any plugin that dressed its outputs.
    is_model: bool,
    /// The step's place in the order in which steps could run one by one.
    rank: usize,
    id: MakerId,
}

/// The id is looked up when it is known which one counts.
enum MakerId {
    Step(usize),
    Given(ModelId),
}

// === impl Traveller ===

impl Traveller {
    /// An example, of whose tensors a copy is kept, and those tensors.
    pub(crate) fn new(example: Example, keep: bool) -> (Self, Tensors) {
        let Example {
            tenant,
            key,
            tensors,
        } = example;
        let traveller = Self {
            key,
            tenant,
            example: keep.then(|| tensors.clone()),
            end: None,
            maker: None,
            arms: Vec::new(),
            partial: Vec::new(),
        };
        (traveller, tensors)
    }

    pub(crate) fn is_live(&self) -> bool {
        self.end.is_none()
    }

    /// What is counted when it ends here.
    pub(crate) fn outcome(&self) -> &'static str {
        match self.end {
            None => "predicted",
            Some(End::Answered(..)) => "answered",
            Some(End::Failed(_)) => "failed",
        }
    }

    /// A step made its outputs.
    pub(crate) fn made_by_step(&mut self, is_model: bool, rank: usize, step: usize) {
        self.made(Maker {
            is_model,
            rank,
            id: MakerId::Step(step),
        });
    }

    /// Something inside a step made its outputs.
    pub(crate) fn made_by(&mut self, rank: usize, origin: Origin) {
        let Origin {
            model_id,
            arms,
            partial,
        } = origin;
        self.arms.extend(arms.into_iter().map(|arm| (rank, arm)));
        let failures = partial.into_iter().map(|failure| (rank, failure));
        self.partial.extend(failures);
        self.made(Maker {
            is_model: true,
            rank,
            id: MakerId::Given(model_id),
        });
    }

    /// The last model counts; where there is none, the last plugin. Which of two steps that
    /// run at the same time ends first makes no difference.
    fn made(&mut self, maker: Maker) {
        let counts = |known: &Maker| (maker.is_model, maker.rank) >= (known.is_model, known.rank);
        if self.maker.as_ref().is_none_or(counts) {
            self.maker = Some(maker);
        }
    }

    /// An optional step failed.
    pub(crate) fn failed_in_passing(&mut self, rank: usize, failure: Failure) {
        self.partial.push((rank, failure));
    }

    /// What failed in passing, so far.
    pub(crate) fn partial(&self) -> impl Iterator<Item = &Failure> {
        self.partial.iter().map(|(_, failure)| failure)
    }

    /// What became of it. `outputs` are its own where it went all the way; `id` finds the
    /// id of a step, and that of the ensemble where no step made anything.
    pub(crate) fn arrive(
        mut self,
        outputs: Tensors,
        id: impl Fn(Option<usize>) -> ModelId,
    ) -> Result<Prediction, Failure> {
        let (outputs, model_id) = match self.end.take() {
            Some(End::Failed(failure)) => return Err(failure),
            Some(End::Answered(outputs, model_id)) => (outputs, model_id),
            None => {
                let model_id = match self.maker.take().map(|maker| maker.id) {
                    Some(MakerId::Given(model_id)) => model_id,
                    Some(MakerId::Step(step)) => id(Some(step)),
                    None => id(None),
                };
                (outputs, model_id)
            }
        };
        let origin = Origin {
            model_id,
            arms: in_order(self.arms),
            partial: in_order(self.partial),
        };
        Ok(Prediction {
            example: self.example,
            ..Prediction::new(self.key, outputs, origin)
        })
    }
}

/// Puts what happened at the same time into the order of the steps.
fn in_order<T>(mut items: Vec<(usize, T)>) -> Vec<T> {
    items.sort_by_key(|(rank, _)| *rank);
    items.into_iter().map(|(_, item)| item).collect()
}
