//! What the guests in `examples/` share. Each of them is a small component with one
//! habit, good or hostile, and a name that says which; the sandbox's tests load them.
//!
//! `cargo build --profile guest --target wasm32-wasip2 -p consort-guests --examples`
//! builds them all; `cargo xtask test` does so before it runs the tests.

use consort_sdk::{Datatype, Error, Example, Outputs, Signature, Tensor};

/// The number on which a guest that is bad on one example only is bad.
pub const MARK: i64 = 13;

/// Most guests read a number `x` and write a number `x`.
pub fn signature() -> Signature {
    Signature::new()
        .input("x", Datatype::Int64, [1])
        .output("x", Datatype::Int64, [1])
}

/// The number of an example.
pub fn number(example: &Example) -> Result<i64, Error> {
    example.element("x")
}

/// The answer of a number.
pub fn numbered(x: i64) -> Result<Outputs, Error> {
    Ok(Outputs::from([("x", Tensor::single(x)?)]))
}

/// A post-processor from numbers to numbers: `guest!(init, run)`, with
/// `fn init(config: &str) -> Result<(), Error>` and `fn run(x: i64) -> Result<i64, Error>`.
#[macro_export]
macro_rules! guest {
    ($init:expr, $run:expr) => {
        struct Guest;

        impl ::consort_sdk::Plugin for Guest {
            fn init(
                config: &str,
                _assets: &::consort_sdk::Assets,
            ) -> Result<Self, ::consort_sdk::Error> {
                let init: fn(&str) -> Result<(), ::consort_sdk::Error> = $init;
                init(config)?;
                Ok(Self)
            }
        }

        impl ::consort_sdk::Postprocess for Guest {
            fn describe(&self) -> ::consort_sdk::Signature {
                $crate::signature()
            }

            fn postprocess(
                &self,
                example: &::consort_sdk::Example,
            ) -> Result<::consort_sdk::Outputs, ::consort_sdk::Error> {
                let run: fn(i64) -> Result<i64, ::consort_sdk::Error> = $run;
                $crate::numbered(run($crate::number(example)?)?)
            }
        }

        ::consort_sdk::export!(Guest: postprocess);
    };
}

/// An `init` that does nothing.
pub fn nothing(_config: &str) -> Result<(), Error> {
    Ok(())
}
