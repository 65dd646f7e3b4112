//! The line that turns a crate into a component, and what that line expands to.

/// Exports a type's roles, so that `cargo build --target wasm32-wasip2` makes a
/// component of a `cdylib` crate. Write it once, at the top of a module:
///
/// - `consort_sdk::export!(MyPlugin: preprocess);`
/// - `consort_sdk::export!(MyPlugin: postprocess);`
/// - `consort_sdk::export!(MyPlugin: preprocess, postprocess);`
///
/// In a native build it only checks that the type implements the traits.
#[macro_export]
macro_rules! export {
    ($plugin:ty: preprocess $(,)?) => {
        const _: () = $crate::export::requires_preprocess::<$plugin>();
        $crate::__export_component!($plugin, [preprocess]);
    };
    ($plugin:ty: postprocess $(,)?) => {
        const _: () = $crate::export::requires_postprocess::<$plugin>();
        $crate::__export_component!($plugin, [postprocess]);
    };
    ($plugin:ty: preprocess, postprocess $(,)?) => {
        const _: () = $crate::export::requires_preprocess::<$plugin>();
        const _: () = $crate::export::requires_postprocess::<$plugin>();
        $crate::__export_component!($plugin, [preprocess postprocess]);
    };
    ($plugin:ty: postprocess, preprocess $(,)?) => {
        $crate::export!($plugin: preprocess, postprocess);
    };
}

/// Fails to compile for a type that cannot play the role.
#[doc(hidden)]
pub const fn requires_preprocess<P: crate::Preprocess>() {}

/// Fails to compile for a type that cannot play the role.
#[doc(hidden)]
pub const fn requires_postprocess<P: crate::Postprocess>() {}

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
    };
}

#[cfg(target_family = "wasm")]
pub use component::*;

/// What the expanded code calls; only the macros above use it.
#[cfg(target_family = "wasm")]
mod component {
    use crate::bindings::{preprocess, types};
    use crate::{Assets, Description, Dim, Error, Example, Outcome, Outputs, Plugin};
    use crate::{Postprocess, Preprocess, Signature, Tensor, TensorSpec};
    use std::cell::OnceCell;

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
                Ok(Outcome::Forward(outputs)) => Ok(preprocess::Outcome::Forward(tensors(outputs))),
                Ok(Outcome::Answer(outputs)) => Ok(preprocess::Outcome::Answer(tensors(outputs))),
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
            .map(|outputs| outputs.map(tensors).map_err(error))
            .collect()
    }

    fn as_examples(
        examples: Vec<types::Example>,
        promised: Option<&Vec<TensorSpec>>,
    ) -> Vec<Example> {
        let promised = promised.map(Vec::as_slice).unwrap_or_default();
        examples
            .into_iter()
            .map(|example| {
                let tensors = example.tensors.into_iter().map(|named| {
                    let spec = promised.iter().find(|spec| spec.name == named.name);
                    let datatype = spec.map(|spec| spec.datatype);
                    (named.name, Tensor::from_host(named.tensor, datatype))
                });
                Example::from_parts(example.key, tensors.collect())
            })
            .collect()
    }

    fn tensors(outputs: Outputs) -> Vec<types::NamedTensor> {
        outputs
            .into_tensors()
            .into_iter()
            .map(|(name, tensor)| types::NamedTensor {
                name,
                tensor: tensor.into_host(),
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

    fn error(error: Error) -> types::Error {
        match error {
            Error::InvalidInput(message) => types::Error::InvalidInput(message),
            Error::Failed(message) => types::Error::Failed(message),
        }
    }
}
