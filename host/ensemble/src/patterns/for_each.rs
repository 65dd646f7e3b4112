//! One example becomes many, and the many become one again.

use super::error::{Check, PatternError, PatternProblem};
use super::join::{StepResult, contract, run_counted};
use super::members::{Face, names, refuse_answers, shows_face};
use crate::{Drawing, Step};
use consort_inference::{
    BoxFuture, Call, Example, Failure, FailureKind, Origin, Outcome, Tensor, TensorSpec, Tensors,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a for-each is made of.
pub struct ForEachConfig {
    /// The step's name.
    pub name: Arc<str>,
    /// What runs on each item.
    pub body: Arc<dyn Step>,
    /// The inputs of the body that are cut along their first axis, an item each. All others
    /// go to every item as they are.
    pub inputs: Vec<Arc<str>>,
    /// The most items of one example.
    pub items_max: usize,
    /// Whether outputs of different lengths are padded with zeros (or empty texts) to the
    /// longest; without it they fail their example.
    pub pad: bool,
    /// The most bytes of one gathered output.
    pub output_bytes_max: usize,
}

/// Runs the body once on all items of all examples of a call, and gathers the outputs of an
/// example's items in order, along a new first axis.
pub struct ForEach {
    name: Arc<str>,
    face: Face,
    body: Arc<dyn Step>,
    inputs: Vec<Arc<str>>,
    items_max: usize,
    pad: bool,
    output_bytes_max: usize,
}

/// The results of one example's items.
#[derive(Default)]
struct Gathered {
    rows: Vec<Tensors>,
    origin: Option<Origin>,
}

// === impl ForEachConfig ===

impl ForEachConfig {
    /// Items of those inputs, within bounds that suit most.
    pub fn new(name: impl Into<Arc<str>>, body: Arc<dyn Step>, inputs: Vec<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            body,
            inputs,
            items_max: 4096,
            pad: false,
            output_bytes_max: 1 << 30,
        }
    }
}

// === impl ForEach ===

impl ForEach {
    /// Checks that the body has the inputs named.
    pub fn new(config: ForEachConfig) -> Result<Self, PatternError> {
        let mut check = Check::new("for_each", &config.name);
        refuse_answers(&config.name, &*config.body, &mut check);
        check.setting(config.items_max > 0, "items_max", 0, "1 or more");
        check.setting(
            !config.inputs.is_empty(),
            "for_each",
            "[]",
            "an input or more",
        );
        let mut face = Face::of_one(&*config.body);
        let mut seen = BTreeSet::new();
        for name in &config.inputs {
            if !face.signature.inputs.iter().any(|spec| spec.name == *name) {
                check.problem(PatternProblem::NoTensor {
                    side: "input",
                    name: name.clone(),
                    known: names(&face.signature.inputs),
                });
            }
            if !seen.insert(name) {
                check.problem(PatternProblem::TensorTwice(name.clone()));
            }
        }
        let many = |spec: &mut TensorSpec| spec.shape.insert(0, None);
        let inputs = face.signature.inputs.iter_mut();
        inputs
            .filter(|spec| seen.contains(&spec.name))
            .for_each(many);
        face.signature.outputs.iter_mut().for_each(many);
        check.done()?;
        Ok(Self {
            name: config.name,
            face,
            body: config.body,
            inputs: config.inputs,
            items_max: config.items_max,
            pad: config.pad,
            output_bytes_max: config.output_bytes_max,
        })
    }

    /// The items of an example, without copying a byte.
    fn items(&self, example: &Example) -> Result<Vec<Example>, Failure> {
        let count = self.count(example)?;
        let mut items = vec![Tensors::new(); count];
        for (name, tensor) in example.tensors.iter() {
            if self.inputs.contains(name) {
                let rows = tensor
                    .unstack()
                    .map_err(|error| self.wrong(error.to_string()))?;
                for (item, row) in items.iter_mut().zip(rows) {
                    item.insert(name.clone(), row);
                }
            } else {
                for item in &mut items {
                    item.insert(name.clone(), tensor.clone());
                }
            }
        }
        let item = |tensors| Example {
            tenant: example.tenant.clone(),
            key: example.key.clone(),
            tensors,
        };
        Ok(items.into_iter().map(item).collect())
    }

    /// How many items there are: looked at before anything is cut.
    fn count(&self, example: &Example) -> Result<usize, Failure> {
        let mut count: Option<(usize, &Arc<str>)> = None;
        for name in &self.inputs {
            let tensor = example.tensors.tensor(name);
            let Some(length) = tensor.and_then(|tensor| tensor.shape().first().copied()) else {
                let message = format!("the tensor \"{name}\" has no first axis to cut along");
                return Err(self.wrong(message));
            };
            match count {
                Some((other, first)) if other != length => {
                    return Err(self.wrong(format!(
                        "\"{first}\" has {other} items and \"{name}\" has {length}; \
                         all must have as many"
                    )));
                }
                Some(_) => {}
                None => count = Some((length, name)),
            }
        }
        let count = count.map_or(0, |(count, _)| count);
        if count > self.items_max {
            let message = format!(
                "it has {count} items; at most {} are allowed (items_max)",
                self.items_max
            );
            return Err(Failure::new(
                self.face.stage.clone(),
                FailureKind::TooLarge,
                message,
            ));
        }
        Ok(count)
    }

    /// Takes the results of one example's items from the results of all.
    fn gather(&self, count: usize, results: &mut impl Iterator<Item = StepResult>) -> StepResult {
        let (mut gathered, mut failed) = (Gathered::default(), None);
        for index in 0..count {
            let missing = || Err(contract(&self.face.stage, "a result is missing"));
            let added = results
                .next()
                .unwrap_or_else(missing)
                .and_then(|outcome| gathered.add(outcome, &self.face));
            if let Err(mut failure) = added {
                failure.message = format!("item {index}: {}", failure.message);
                // All results of this example are taken, whichever failed.
                failed = failed.or(Some(failure));
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        let mut outputs = Tensors::new();
        for spec in &self.face.signature.outputs {
            outputs.insert(spec.name.clone(), self.output(spec, &gathered.rows)?);
        }
        Ok(match gathered.origin {
            None => Outcome::Forward(outputs),
            Some(origin) => Outcome::Predicted(outputs, origin),
        })
    }

    fn output(&self, spec: &TensorSpec, rows: &[Tensors]) -> Result<Tensor, Failure> {
        let name = &spec.name;
        let broken = |message: String| contract(&self.face.stage, message);
        if rows.is_empty() {
            let lengths = spec.shape.iter().skip(1).map(|dim| dim.unwrap_or(0));
            let shape = std::iter::once(0).chain(lengths).collect();
            return Tensor::new(spec.datatype, shape, bytes::Bytes::new())
                .map_err(|error| broken(error.to_string()));
        }
        let tensors: Vec<&Tensor> = rows.iter().filter_map(|row| row.tensor(name)).collect();
        if tensors.len() != rows.len() {
            return Err(broken(format!("an item has no output \"{name}\"")));
        }
        let largest = self.largest(name, &tensors)?;
        let element = spec.datatype.size_bytes();
        let fill = vec![0; element.unwrap_or(4)];
        let bytes: usize = match element {
            Some(size) => (largest.iter().chain([&tensors.len()]))
                .try_fold(size, |bytes, length| bytes.checked_mul(*length))
                .unwrap_or(usize::MAX),
            // Four bytes for what is added, and whatever is there.
            None => (largest.iter().chain([&tensors.len()]))
                .try_fold(4usize, |bytes, length| bytes.checked_mul(*length))
                .unwrap_or(usize::MAX)
                .saturating_add(tensors.iter().map(|tensor| tensor.data().len()).sum()),
        };
        if bytes > self.output_bytes_max {
            let message = format!(
                "the items' output \"{name}\" takes {bytes} bytes; at most {} are allowed \
                 (output_bytes_max)",
                self.output_bytes_max
            );
            let stage = self.face.stage.clone();
            return Err(Failure::new(stage, FailureKind::TooLarge, message));
        }
        let padded: Result<Vec<Tensor>, _> = tensors
            .iter()
            .map(|tensor| match tensor.shape() == largest {
                true => Ok((*tensor).clone()),
                false => tensor.pad(largest.clone(), &fill),
            })
            .collect();
        padded
            .and_then(|tensors| Tensor::stack(&tensors.iter().collect::<Vec<_>>()))
            .map_err(|error| broken(format!("the items' output \"{name}\": {error}")))
    }

    /// The shape that holds every item; an error where they differ and may not.
    fn largest(&self, name: &str, tensors: &[&Tensor]) -> Result<Vec<usize>, Failure> {
        let first = tensors.first().map_or(&[][..], |tensor| tensor.shape());
        let mut largest = first.to_vec();
        for (index, tensor) in tensors.iter().enumerate() {
            let shape = tensor.shape();
            if shape == first {
                continue;
            }
            if !self.pad || shape.len() != first.len() {
                let help = match self.pad {
                    true => "only axes can be padded, not added",
                    false => "write pad = true to fill the shorter with zeros",
                };
                return Err(contract(
                    &self.face.stage,
                    format!(
                        "the output \"{name}\" has shape {first:?} in item 0 and {shape:?} in \
                         item {index}; {help}"
                    ),
                ));
            }
            for (most, length) in largest.iter_mut().zip(shape) {
                *most = (*most).max(*length);
            }
        }
        Ok(largest)
    }

    fn wrong(&self, message: String) -> Failure {
        Failure::new(
            self.face.stage.clone(),
            FailureKind::InvalidArgument,
            message,
        )
    }
}

// === impl Gathered ===

impl Gathered {
    fn add(&mut self, outcome: Outcome, face: &Face) -> Result<(), Failure> {
        match outcome {
            Outcome::Forward(tensors) => self.rows.push(tensors),
            Outcome::Predicted(tensors, origin) => {
                self.rows.push(tensors);
                match &mut self.origin {
                    None => self.origin = Some(origin),
                    Some(known) => known.join(origin.arms, origin.partial),
                }
            }
            Outcome::Answer(_) => {
                let message = "it answered by itself, which it did not announce";
                return Err(contract(&face.stage, message));
            }
        }
        Ok(())
    }
}

impl Step for ForEach {
    shows_face!();

    fn is_ready(&self) -> bool {
        self.body.is_ready()
    }

    fn drawing(&self) -> Drawing {
        let word = format!("for each of {}", self.inputs.join(", "));
        Drawing {
            kind: "for_each",
            name: self.name.clone(),
            parts: vec![(word, self.body.drawing())],
        }
    }

    fn run(&self, examples: Vec<Example>, call: Call) -> BoxFuture<'_, Vec<StepResult>> {
        Box::pin(async move {
            let (mut all, mut counts) = (Vec::new(), Vec::new());
            for example in &examples {
                counts.push(self.items(example).map(|items| {
                    let count = items.len();
                    all.extend(items);
                    count
                }));
            }
            drop(examples);
            let mut results = run_counted(&*self.body, all, call).await.into_iter();
            counts
                .into_iter()
                .map(|count| count.and_then(|count| self.gather(count, &mut results)))
                .collect()
        })
    }
}
