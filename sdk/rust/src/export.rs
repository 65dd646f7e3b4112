//! The line that turns a crate into a component, and what that line expands to.

/// Exports a type's roles, so that `cargo build --target wasm32-wasip2` makes a
/// component of a `cdylib` crate. Write it once, at the top of a module:
///
/// - `consort_sdk::export!(MyPlugin: preprocess);`
/// - `consort_sdk::export!(MyPlugin: postprocess);`
/// - `consort_sdk::export!(MyPlugin: model_handler);`
/// - `consort_sdk::export!(MyPlugin: ensemble);`
/// - `consort_sdk::export!(MyPlugin: preprocess, postprocess);`, or any other list of them.
///
/// In a native build it only checks that the type implements the traits.
#[macro_export]
macro_rules! export {
    ($plugin:ty: $($role:ident),+ $(,)?) => {
        $($crate::__requires!($plugin, $role);)+
        $crate::__export_component!($plugin, [$($role)+]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __requires {
    ($plugin:ty, preprocess) => {
        const _: () = $crate::export::requires_preprocess::<$plugin>();
    };
    ($plugin:ty, postprocess) => {
        const _: () = $crate::export::requires_postprocess::<$plugin>();
    };
    ($plugin:ty, model_handler) => {
        const _: () = $crate::export::requires_model_handler::<$plugin>();
    };
    ($plugin:ty, ensemble) => {
        const _: () = $crate::export::requires_ensemble::<$plugin>();
    };
}

/// Fails to compile for a type that cannot play the role.
#[doc(hidden)]
pub const fn requires_preprocess<P: crate::Preprocess>() {}

/// Fails to compile for a type that cannot play the role.
#[doc(hidden)]
pub const fn requires_postprocess<P: crate::Postprocess>() {}

/// Fails to compile for a type that cannot play the role.
#[doc(hidden)]
pub const fn requires_model_handler<P: crate::ModelHandler>() {}

/// Fails to compile for a type that cannot play the role.
#[doc(hidden)]
pub const fn requires_ensemble<P: crate::Ensemble>() {}

#[doc(hidden)]
#[macro_export]
#[cfg(not(target_family = "wasm"))]
macro_rules! __export_component {
    ($plugin:ty, [$($role:ident)*]) => {};
}

#[doc(hidden)]
#[macro_export]
#[cfg(target_family = "wasm")]
macro_rules! __export_component {
    ($plugin:ty, [$($role:ident)*]) => {
        const _: () = {
            struct Component;

            // Set by `init` and then part of the memory that the host photographs.
            ::std::thread_local! {
                static PLUGIN: $crate::export::Slot<$plugin> =
                    const { $crate::export::Slot::empty() };
            }

            impl $crate::bindings::plugin::Guest for Component {
                fn init(
                    config: ::std::string::String,
                ) -> ::core::result::Result<(), ::std::string::String> {
                    PLUGIN.with(|slot| {
                        $crate::export::init(slot, &config)?;
                        $($crate::__remember_inputs!($plugin, slot, $role);)*
                        Ok(())
                    })
                }
            }

            $crate::bindings::plugin::export_plugin!(
                Component with_types_in $crate::bindings::plugin
            );
            $($crate::__export_role!($plugin, Component, PLUGIN, $role);)*
        };
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(target_family = "wasm")]
macro_rules! __remember_inputs {
    ($plugin:ty, $slot:ident, preprocess) => {
        let description = <$plugin as $crate::Preprocess>::describe($slot.plugin());
        $slot.set_preprocess_inputs(description.inputs);
    };
    ($plugin:ty, $slot:ident, postprocess) => {
        let signature = <$plugin as $crate::Postprocess>::describe($slot.plugin());
        $slot.set_postprocess_inputs(signature.inputs);
    };
    // What it reads depends on the model.
    ($plugin:ty, $slot:ident, model_handler) => {};
    // What it reads may depend on its models, which init need not ask.
    ($plugin:ty, $slot:ident, ensemble) => {};
}

#[doc(hidden)]
#[macro_export]
#[cfg(target_family = "wasm")]
macro_rules! __export_role {
    ($plugin:ty, $component:ident, $slot:ident, preprocess) => {
        impl $crate::bindings::preprocess::Guest for $component {
            fn describe() -> $crate::bindings::preprocess::Description {
                $slot.with(|slot| {
                    $crate::export::description(<$plugin as $crate::Preprocess>::describe(
                        slot.plugin(),
                    ))
                })
            }

            fn process(
                examples: ::std::vec::Vec<$crate::bindings::types::Example>,
            ) -> ::std::vec::Vec<
                ::core::result::Result<
                    $crate::bindings::preprocess::Outcome,
                    $crate::bindings::types::Error,
                >,
            > {
                $slot.with(|slot| $crate::export::preprocess(slot, examples))
            }
        }

        $crate::bindings::preprocess::export_preprocess!(
            $component with_types_in $crate::bindings::preprocess
        );

        impl $crate::bindings::preprocess_columns::Guest for $component {
            fn process(
                count: u32,
                columns: ::std::vec::Vec<$crate::bindings::types::NamedTensor>,
            ) -> $crate::bindings::columns::Results {
                $slot.with(|slot| $crate::export::preprocess_columns(slot, count, columns))
            }
        }

        $crate::bindings::preprocess_columns::export_preprocess_columns!(
            $component with_types_in $crate::bindings::preprocess_columns
        );
    };
    ($plugin:ty, $component:ident, $slot:ident, postprocess) => {
        impl $crate::bindings::postprocess::Guest for $component {
            fn describe() -> $crate::bindings::types::Signature {
                $slot.with(|slot| {
                    $crate::export::signature(<$plugin as $crate::Postprocess>::describe(
                        slot.plugin(),
                    ))
                })
            }

            fn process(
                examples: ::std::vec::Vec<$crate::bindings::types::Example>,
            ) -> ::std::vec::Vec<
                ::core::result::Result<
                    ::std::vec::Vec<$crate::bindings::types::NamedTensor>,
                    $crate::bindings::types::Error,
                >,
            > {
                $slot.with(|slot| $crate::export::postprocess(slot, examples))
            }
        }

        $crate::bindings::postprocess::export_postprocess!(
            $component with_types_in $crate::bindings::postprocess
        );

        impl $crate::bindings::postprocess_columns::Guest for $component {
            fn process(
                count: u32,
                columns: ::std::vec::Vec<$crate::bindings::types::NamedTensor>,
            ) -> $crate::bindings::columns::Results {
                $slot.with(|slot| $crate::export::postprocess_columns(slot, count, columns))
            }
        }

        $crate::bindings::postprocess_columns::export_postprocess_columns!(
            $component with_types_in $crate::bindings::postprocess_columns
        );
    };
    ($plugin:ty, $component:ident, $slot:ident, model_handler) => {
        impl $crate::bindings::model_handler::Guest for $component {
            fn describe(
                model: $crate::bindings::types::Signature,
            ) -> ::core::result::Result<
                $crate::bindings::model_handler::Description,
                ::std::string::String,
            > {
                $slot.with(|slot| $crate::export::describe_handler(slot, model))
            }

            fn predict(
                model: &$crate::bindings::models::Model,
                examples: ::std::vec::Vec<$crate::bindings::types::Example>,
                args: ::std::vec::Vec<$crate::bindings::models::Arg>,
            ) -> ::core::result::Result<
                ::std::vec::Vec<
                    ::core::result::Result<
                        ::std::vec::Vec<$crate::bindings::types::NamedTensor>,
                        $crate::bindings::types::Error,
                    >,
                >,
                $crate::bindings::types::Error,
            > {
                $slot.with(|slot| $crate::export::predict(slot, model, examples, args))
            }
        }

        $crate::bindings::model_handler::export_model_handler!(
            $component with_types_in $crate::bindings::model_handler
        );
    };
    ($plugin:ty, $component:ident, $slot:ident, ensemble) => {
        impl $crate::bindings::ensemble::Guest for $component {
            fn describe() -> $crate::bindings::types::Signature {
                $slot.with(|slot| {
                    $crate::export::signature(<$plugin as $crate::Ensemble>::describe(
                        slot.plugin(),
                    ))
                })
            }

            fn run(
                examples: ::std::vec::Vec<$crate::bindings::types::Example>,
                args: ::std::vec::Vec<$crate::bindings::models::Arg>,
            ) -> ::std::vec::Vec<
                ::core::result::Result<
                    ::std::vec::Vec<$crate::bindings::types::NamedTensor>,
                    $crate::bindings::types::Error,
                >,
            > {
                $slot.with(|slot| $crate::export::run(slot, examples, args))
            }
        }

        $crate::bindings::ensemble::export_ensemble!(
            $component with_types_in $crate::bindings::ensemble
        );
    };
}

#[cfg(target_family = "wasm")]
pub use component::*;

/// What the expanded code calls; only the macros above use it.
#[cfg(target_family = "wasm")]
mod component {
    use crate::bindings::{columns, model_handler, models, preprocess, types};
    use crate::host::{Column, in_columns};
    use crate::results::Results;
    use crate::{Args, Assets, Columns, Description, Dim, Dims, Ensemble, Error, Example, Model};
    use crate::{
        ModelHandler, Outcome, Outputs, Plugin, Postprocess, Preprocess, Signature, Tensor,
        TensorSpec,
    };
    use std::cell::OnceCell;
    use std::rc::Rc;

    /// Where the plugin lives between calls, and what it promised to read: the host gives
    /// it nothing else, so that the datatypes need not be asked for.
    #[doc(hidden)]
    pub struct Slot<P> {
        plugin: OnceCell<P>,
        preprocess_inputs: OnceCell<Vec<TensorSpec>>,
        postprocess_inputs: OnceCell<Vec<TensorSpec>>,
    }

    // === impl Slot ===

    impl<P: Plugin> Slot<P> {
        pub const fn empty() -> Self {
            Self {
                plugin: OnceCell::new(),
                preprocess_inputs: OnceCell::new(),
                postprocess_inputs: OnceCell::new(),
            }
        }

        /// The plugin that `init` made. The host calls nothing before `init`, so that a
        /// call without it is a defect of the host, and the trap says so.
        #[expect(clippy::expect_used, reason = "a trap is the only answer left")]
        pub fn plugin(&self) -> &P {
            self.plugin
                .get()
                .expect("init was not called before a role")
        }

        pub fn set_preprocess_inputs(&self, inputs: Vec<TensorSpec>) {
            self.preprocess_inputs.get_or_init(|| inputs);
        }

        pub fn set_postprocess_inputs(&self, inputs: Vec<TensorSpec>) {
            self.postprocess_inputs.get_or_init(|| inputs);
        }
    }

    #[doc(hidden)]
    pub fn init<P: Plugin>(slot: &Slot<P>, config: &str) -> Result<(), String> {
        let plugin = P::init(config, &Assets::host()).map_err(|error| error.to_string())?;
        slot.plugin
            .set(plugin)
            .map_err(|_| "init was called a second time".to_owned())
    }

    #[doc(hidden)]
    pub fn description(description: Description) -> preprocess::Description {
        preprocess::Description {
            signature: types::Signature {
                inputs: specs(description.inputs),
                outputs: specs(description.forwards),
            },
            answers: specs(description.answers),
        }
    }

    #[doc(hidden)]
    pub fn signature(signature: Signature) -> types::Signature {
        types::Signature {
            inputs: specs(signature.inputs),
            outputs: specs(signature.outputs),
        }
    }

    #[doc(hidden)]
    pub fn preprocess<P: Preprocess>(
        slot: &Slot<P>,
        examples: Vec<types::Example>,
    ) -> Vec<Result<preprocess::Outcome, types::Error>> {
        let examples = as_examples(examples, slot.preprocess_inputs.get());
        slot.plugin()
            .preprocess_many(&examples)
            .into_iter()
            .map(|outcome| match outcome {
                Ok(Outcome::Forward(outputs)) => tensors(outputs).map(preprocess::Outcome::Forward),
                Ok(Outcome::Answer(outputs)) => tensors(outputs).map(preprocess::Outcome::Answer),
                Err(failure) => Err(error(failure)),
            })
            .collect()
    }

    #[doc(hidden)]
    pub fn postprocess<P: Postprocess>(
        slot: &Slot<P>,
        examples: Vec<types::Example>,
    ) -> Vec<Result<Vec<types::NamedTensor>, types::Error>> {
        let examples = as_examples(examples, slot.postprocess_inputs.get());
        slot.plugin()
            .postprocess_many(&examples)
            .into_iter()
            .map(|outputs| tensors(outputs.map_err(error)?))
            .collect()
    }

    #[doc(hidden)]
    pub fn describe_handler<P: ModelHandler>(
        slot: &Slot<P>,
        model: types::Signature,
    ) -> Result<model_handler::Description, String> {
        let described = slot.plugin().describe(&model.into());
        let description = described.map_err(|error| error.to_string())?;
        Ok(model_handler::Description {
            signature: types::Signature {
                inputs: specs(description.inputs),
                outputs: specs(description.outputs),
            },
            hints: model_handler::BatchHints {
                max_batch_size: description.max_batch_size,
                preferred_batch_sizes: description.preferred_batch_sizes,
                ragged: description.ragged,
            },
        })
    }

    type Predictions = Vec<Result<Vec<types::NamedTensor>, types::Error>>;

    #[doc(hidden)]
    pub fn predict<P: ModelHandler>(
        slot: &Slot<P>,
        model: &models::Model,
        examples: Vec<types::Example>,
        args: Vec<models::Arg>,
    ) -> Result<Predictions, types::Error> {
        let examples = as_examples(examples, None);
        let args: Args = args.into_iter().map(|arg| (arg.name, arg.value)).collect();
        let results = slot.plugin().predict(&Model::lent(model), &examples, &args);
        let each = |outputs: Result<Outputs, Error>| tensors(outputs.map_err(error)?);
        Ok(results.map_err(error)?.into_iter().map(each).collect())
    }

    #[doc(hidden)]
    pub fn run<P: Ensemble>(
        slot: &Slot<P>,
        examples: Vec<types::Example>,
        args: Vec<models::Arg>,
    ) -> Vec<Result<Vec<types::NamedTensor>, types::Error>> {
        let examples = as_examples(examples, None);
        let args: Args = args.into_iter().map(|arg| (arg.name, arg.value)).collect();
        let results = slot.plugin().run_many(&examples, &args).into_iter();
        let each = |outputs: Result<Outputs, Error>| tensors(outputs.map_err(error)?);
        results.map(each).collect()
    }

    impl From<types::Signature> for Signature {
        fn from(signature: types::Signature) -> Self {
            let specs = |specs: Vec<types::TensorSpec>| {
                let spec = |spec: types::TensorSpec| {
                    let dims = spec.shape.into_iter().map(|length| match length {
                        Some(length) => Dim::Is(usize::try_from(length).unwrap_or(usize::MAX)),
                        None => Dim::Any,
                    });
                    TensorSpec::new(spec.name, spec.datatype.into(), Dims(dims.collect()))
                };
                specs.into_iter().map(spec).collect()
            };
            Self {
                inputs: specs(signature.inputs),
                outputs: specs(signature.outputs),
            }
        }
    }

    fn as_examples(
        examples: Vec<types::Example>,
        promised: Option<&Vec<TensorSpec>>,
    ) -> Vec<Example> {
        examples
            .into_iter()
            .map(|example| as_example(example.key, example.tensors, promised))
            .collect()
    }

    fn as_example(
        key: Option<String>,
        tensors: Vec<types::NamedTensor>,
        promised: Option<&Vec<TensorSpec>>,
    ) -> Example {
        let promised = promised.map(Vec::as_slice).unwrap_or_default();
        let tensors = tensors.into_iter().map(|named| {
            let spec = promised.iter().find(|spec| spec.name == named.name);
            let datatype = spec.map(|spec| spec.datatype);
            (named.name.into(), Tensor::from_host(named.tensor, datatype))
        });
        Example::from_parts(key, tensors.collect())
    }

    pub(crate) fn tensors(outputs: Outputs) -> Result<Vec<types::NamedTensor>, types::Error> {
        outputs
            .into_tensors()
            .into_iter()
            .map(|(name, tensor)| {
                let tensor = tensor.into_host();
                let tensor = tensor.map_err(|refusal| error(Error::from(refusal)))?;
                let name = name.into_owned();
                Ok(types::NamedTensor { name, tensor })
            })
            .collect()
    }

    #[doc(hidden)]
    pub fn preprocess_columns<P: Preprocess>(
        slot: &Slot<P>,
        count: u32,
        columns: Vec<types::NamedTensor>,
    ) -> columns::Results {
        in_columns(|| {
            let columns = as_columns(count, columns, slot.preprocess_inputs.get());
            if let Some(tensors) = at_once(&columns, slot.plugin().preprocess_columns(&columns)) {
                return Results::all_forward(count, tensors);
            }
            let examples = rows(columns);
            let mut results = Results::new();
            for outcome in slot.plugin().preprocess_many(&examples) {
                results.add(outcome);
            }
            results.finish()
        })
    }

    #[doc(hidden)]
    pub fn postprocess_columns<P: Postprocess>(
        slot: &Slot<P>,
        count: u32,
        columns: Vec<types::NamedTensor>,
    ) -> columns::Results {
        in_columns(|| {
            let columns = as_columns(count, columns, slot.postprocess_inputs.get());
            if let Some(tensors) = at_once(&columns, slot.plugin().postprocess_columns(&columns)) {
                return Results::all_forward(count, tensors);
            }
            let examples = rows(columns);
            let mut results = Results::new();
            for outputs in slot.plugin().postprocess_many(&examples) {
                results.add(outputs.map(Outcome::Forward));
            }
            results.finish()
        })
    }

    fn as_columns(
        count: u32,
        columns: Vec<types::NamedTensor>,
        promised: Option<&Vec<TensorSpec>>,
    ) -> Columns {
        Columns::new(count as usize, as_example(None, columns, promised))
    }

    /// What the plugin made of all examples at once, if it is of all of them.
    fn at_once(
        columns: &Columns,
        made: Result<Option<Outputs>, Error>,
    ) -> Option<Vec<types::NamedTensor>> {
        let outputs = made.ok()??;
        for (name, tensor) in outputs.tensors() {
            if tensor.shape().first() != Some(&columns.count()) {
                let problem = format!(
                    "of {} examples at once came a tensor \"{name}\" of shape {:?}, whose first \
                     axis must be over the examples; they are done one by one instead",
                    columns.count(),
                    tensor.shape()
                );
                crate::log::log(crate::log::Level::Warn, &problem);
                return None;
            }
        }
        tensors(outputs).ok()
    }

    /// The examples of columns, one by one.
    fn rows(columns: Columns) -> Vec<Example> {
        let count = u32::try_from(columns.count()).unwrap_or(u32::MAX);
        let (_, columns) = columns.into_example().into_parts();
        let columns: Vec<(Rc<str>, Rc<Column>)> = columns
            .into_iter()
            .filter_map(|(name, tensor)| {
                let datatype = tensor.datatype();
                // The host's own, and so never refused.
                let tensor = tensor.into_host().ok()?;
                Some((name, Rc::new(Column::new(tensor, Some(datatype)))))
            })
            .collect();
        (0..count)
            .map(|index| {
                let tensors = columns.iter().map(|(name, column)| {
                    (
                        name.clone(),
                        Tensor::of_column(column.clone(), index as usize),
                    )
                });
                Example::of_columns(index, tensors.collect())
            })
            .collect()
    }

    fn specs(specs: Vec<TensorSpec>) -> Vec<types::TensorSpec> {
        specs
            .into_iter()
            .map(|spec| types::TensorSpec {
                name: spec.name,
                datatype: spec.datatype.into(),
                shape: spec.dims.0.into_iter().map(length).collect(),
            })
            .collect()
    }

    fn length(dim: Dim) -> Option<u64> {
        match dim {
            Dim::Is(length) => Some(length as u64),
            Dim::Any => None,
        }
    }

    pub(crate) fn error(error: Error) -> types::Error {
        match error {
            Error::InvalidInput(message) => types::Error::InvalidInput(message),
            Error::Failed(message) => types::Error::Failed(message),
        }
    }
}
