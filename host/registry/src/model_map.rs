//! A model for each key: sends every example to the model of its key, and all examples of
//! one model together, whatever their keys.

use crate::load;
use crate::loader::ModelLoader;
use crate::model::Recipe;
use crate::pattern::{KeyPattern, PathTemplate};
use crate::shelf::InUse;
use crate::{LoadError, ModelConfig, Registry, Source};
use consort_inference::{
    BoxFuture, Call, Endpoint, Example, Failure, FailureKind, ModelId, ModelName, Prediction,
    Signature, Stage, StageKind, Tensors,
};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Which keys have which models.
///
/// A key is looked for in this order: [`ModelMapConfig::keys`] without `*` and `?`; the
/// other patterns, those with the most other characters first, and among equals in the
/// order given; [`ModelMapConfig::template`], if the key has a file;
/// [`ModelMapConfig::default`]. An example without a key goes to the default.
#[derive(Clone)]
pub struct ModelMapConfig {
    /// The map's own name.
    pub name: ModelName,
    /// The map's own version; predictions carry their model's.
    pub version: String,
    /// Keys or patterns, and the models of the registry that they go to.
    pub keys: Vec<(KeyPattern, ModelName)>,
    /// A model for each file, loaded on demand.
    pub template: Option<Template>,
    /// The model of all other keys; without it, they fail.
    pub default: Option<ModelName>,
    /// What all the models read and write. `None`, the default: what the default model
    /// does, or the first one in `keys`, or the first file of the template.
    pub signature: Option<Signature>,
    /// How long a call without a deadline waits for a model to be loaded. Default 60 s.
    pub load_time_max: Duration,
}

/// A model for each file.
#[derive(Clone)]
pub struct Template {
    /// Where the files are.
    pub path: PathTemplate,
    /// The settings of all of them; each has `<map>.<key>` for a name, and its own file.
    pub model: ModelConfig,
    /// Makes handlers of their files.
    pub loader: Arc<dyn ModelLoader>,
}

/// A model for each key; an endpoint like any model.
pub struct ModelMap {
    registry: Arc<Registry>,
    config: ModelMapConfig,
    signature: Signature,
    stage: Stage,
}

/// A map that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// A model that nobody has loaded or declared.
    #[error("there is no model \"{0}\" for the map to use")]
    Unknown(ModelName),
    /// Nothing says what the models read and write.
    #[error(
        "nothing says what the models of the map read and write: there is no default, no key, \
         and no file for the path yet; name a default model"
    )]
    NoSignature,
    /// The model that says what all read and write cannot be loaded.
    #[error("the model that says what all models of the map read and write: {0}")]
    Load(Arc<LoadError>),
    /// A model reads or writes other tensors.
    #[error("model \"{model}\" does not fit the map: {problem}")]
    OtherSignature {
        /// The model.
        model: ModelName,
        /// What does not fit.
        problem: String,
    },
}

/// Where an example goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Route {
    Named(ModelName),
    /// The file of that key, if it has one.
    File(Arc<str>),
}

type Answer = Result<(Tensors, ModelId), Failure>;

// === impl ModelMapConfig ===

impl ModelMapConfig {
    /// A map without any keys.
    pub fn new(name: ModelName, version: impl Into<String>) -> Self {
        Self {
            name,
            version: version.into(),
            keys: Vec::new(),
            template: None,
            default: None,
            signature: None,
            load_time_max: Duration::from_secs(60),
        }
    }
}

// === impl ModelMap ===

impl ModelMap {
    /// Opens a map over models of a registry. Loads one model if it has to, to know what
    /// all read and write; models that are loaded already are held against it now, others
    /// when they are first used.
    pub async fn open(
        registry: Arc<Registry>,
        mut config: ModelMapConfig,
    ) -> Result<Self, MapError> {
        let named = config
            .keys
            .iter()
            .map(|(_, model)| model)
            .chain(&config.default);
        if let Some(unknown) = named.clone().find(|model| !registry.knows(model)) {
            return Err(MapError::Unknown(unknown.clone()));
        }
        // Stable: among equals the order given stays.
        config
            .keys
            .sort_by_key(|(pattern, _)| (!pattern.is_plain(), std::cmp::Reverse(pattern.weight())));
        let stage = Stage::new(StageKind::Inference, config.name.as_str());
        let mut map = Self {
            registry,
            config,
            signature: Signature::default(),
            stage,
        };
        map.signature = match map.config.signature.take() {
            Some(signature) => signature,
            None => map.find_signature().await?,
        };
        let named = map
            .config
            .keys
            .iter()
            .map(|(_, model)| model)
            .chain(&map.config.default);
        for name in named {
            if let Some(model) = map.registry.model(name) {
                let fits = load::fits(&map.signature, model.signature());
                fits.map_err(|problem| MapError::OtherSignature {
                    model: name.clone(),
                    problem,
                })?;
            }
        }
        Ok(map)
    }

    /// Predicts on each example with the model of its key: exactly one result for each, in
    /// order, with the id of the model that made it.
    pub async fn run(&self, examples: Vec<Example>, call: Call) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = Vec::new();
        let mut groups: BTreeMap<Route, (Vec<usize>, Vec<Example>)> = BTreeMap::new();
        for (index, example) in examples.into_iter().enumerate() {
            match self.route(example.key.as_deref()) {
                Ok(route) => {
                    let (places, group) = groups.entry(route).or_default();
                    places.push(index);
                    group.push(example);
                    answers.push(None);
                }
                Err(failure) => answers.push(Some(Err(failure))),
            }
        }
        let run = |(route, (places, group)): (Route, (Vec<usize>, Vec<Example>))| {
            let call = call.clone();
            async move { (places, self.run_group(&route, group, call).await) }
        };
        for (places, results) in join_all(groups.into_iter().map(run)).await {
            for (place, result) in places.into_iter().zip(results) {
                if let Some(answer) = answers.get_mut(place) {
                    *answer = Some(result);
                }
            }
        }
        let lost = || Err(self.fail(FailureKind::Internal, "the model gave no result"));
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(lost))
            .collect()
    }

    /// Where a key leads, as far as that can be said without looking for a file.
    fn route(&self, key: Option<&str>) -> Result<Route, Failure> {
        let default = || self.config.default.clone().map(Route::Named);
        let Some(key) = key else {
            return default().ok_or_else(|| {
                let message = "the example has no key, and the map has no default model; \
                               send a key with it";
                self.fail(FailureKind::InvalidArgument, message)
            });
        };
        let mut keys = self.config.keys.iter();
        if let Some((_, model)) = keys.find(|(pattern, _)| pattern.matches(key)) {
            return Ok(Route::Named(model.clone()));
        }
        let file = self.config.template.as_ref().and_then(|template| {
            let named = self.template_name(key).is_some();
            (named && template.path.path(key).is_some()).then(|| Route::File(key.into()))
        });
        file.or_else(default).ok_or_else(|| self.unknown(key))
    }

    async fn run_group(&self, route: &Route, examples: Vec<Example>, call: Call) -> Vec<Answer> {
        let count = examples.len();
        let all = |failure: Failure| vec![Err(failure); count];
        let deadline = match call.deadline {
            Some(deadline) => Some(Instant::from_std(deadline)),
            None => Instant::now().checked_add(self.config.load_time_max),
        };
        let hold = self.hold(route);
        let held = match deadline {
            None => hold.await,
            Some(deadline) => timeout_at(deadline, hold).await.unwrap_or_else(|_| {
                let message = "the model could not be loaded before the deadline; other models \
                               take all the room, or loading takes long; try again later";
                Err(self.fail(FailureKind::DeadlineExceeded, message))
            }),
        };
        let held = match held {
            Ok(held) => held,
            Err(failure) => return all(failure),
        };
        if let Err(problem) = load::fits(&self.signature, held.signature()) {
            let name = held.name();
            let message = format!("model \"{name}\" does not fit the map: {problem}");
            return all(self.fail(FailureKind::ModelContract, message));
        }
        let (results, id) = held.infer(examples, call).await;
        results
            .into_iter()
            .map(|result| result.map(|outputs| (outputs, id.clone())))
            .collect()
    }

    /// A hold on the model of a route; the default's where a key has no file.
    async fn hold(&self, route: &Route) -> Result<InUse, Failure> {
        let held = match route {
            Route::Named(name) => self.registry.hold(name).await,
            Route::File(key) => match self.hold_file(key).await {
                Err(error) if error.is_missing() => match &self.config.default {
                    Some(name) => self.registry.hold(name).await,
                    None => return Err(self.unknown(key)),
                },
                held => held,
            },
        };
        held.map_err(|error| {
            let kind = match &*error {
                LoadError::Stopping | LoadError::BrokenOff(_) => FailureKind::Unavailable,
                _ => FailureKind::ModelFailed,
            };
            self.fail(kind, error.to_string())
        })
    }

    async fn hold_file(&self, key: &str) -> Result<InUse, Arc<LoadError>> {
        let template = self.config.template.as_ref();
        let named = self.template_name(key).zip(template);
        let Some(((name, template), path)) = named.and_then(|(name, template)| {
            let path = template.path.path(key)?;
            Some(((name, template), path))
        }) else {
            return Err(Arc::new(LoadError::Unknown(self.config.name.clone())));
        };
        let model = ModelConfig {
            name,
            source: Source::File(path),
            ..template.model.clone()
        };
        self.registry
            .hold_recipe(model, template.loader.clone())
            .await
    }

    /// What the model of a key is called; `None` if that would be too long.
    fn template_name(&self, key: &str) -> Option<ModelName> {
        format!("{}.{key}", self.config.name).parse().ok()
    }

    async fn find_signature(&self) -> Result<Signature, MapError> {
        let first = self.config.keys.first().map(|(_, model)| model);
        let held = match self.config.default.as_ref().or(first) {
            Some(name) => self.registry.hold(name).await,
            None => {
                let template = self.config.template.clone().ok_or(MapError::NoSignature)?;
                let found = Recipe::blocking(move || Ok(template.path.some_key())).await;
                let key = found.map_err(|error| MapError::Load(Arc::new(error)))?;
                self.hold_file(&key.ok_or(MapError::NoSignature)?).await
            }
        };
        Ok(held.map_err(MapError::Load)?.signature().clone())
    }

    fn unknown(&self, key: &str) -> Failure {
        let shown: String = key.chars().take(128).collect();
        let message = format!("no model has the key {shown:?}, and there is no default model");
        self.fail(FailureKind::NotFound, message)
    }

    fn fail(&self, kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure::new(self.stage.clone(), kind, message)
    }
}

impl fmt::Debug for ModelMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ModelMap").field(&self.config.name).finish()
    }
}

impl Endpoint for ModelMap {
    fn name(&self) -> &str {
        self.config.name.as_str()
    }

    fn version(&self) -> &str {
        &self.config.version
    }

    fn platform(&self) -> &str {
        "model-map"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn is_ready(&self) -> bool {
        !self.registry.is_stopping()
    }

    fn infer(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        Box::pin(async move {
            let kept: Vec<_> = examples
                .iter()
                .map(|example| {
                    let tensors = call.keep_example.then(|| example.tensors.clone());
                    (example.key.clone(), tensors)
                })
                .collect();
            let answers = self.run(examples, call).await;
            let predict = |(answer, (key, example)): (Answer, _)| {
                answer.map(|(outputs, model_id)| Prediction {
                    example,
                    ..Prediction::new(key, outputs, model_id)
                })
            };
            answers.into_iter().zip(kept).map(predict).collect()
        })
    }
}
