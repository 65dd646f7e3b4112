//! An ensemble in code that does with its models what the argument `what` or else its config
//! says. They read a number `x` and give another.

use consort_guests::{number, numbered, signature};
use consort_sdk::{
    Args, Assets, Datatype, Ensemble, Error, Example, Model, Outputs, Plugin, Signature, Tensor,
    wait_all, wait_any,
};

struct Guest {
    what: String,
}

impl Plugin for Guest {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self {
            what: config.to_owned(),
        })
    }
}

impl Ensemble for Guest {
    fn describe(&self) -> Signature {
        signature()
    }

    fn run(&self, example: &Example, args: &Args) -> Result<Outputs, Error> {
        let ask = |name: &str| Model::open(name)?.submit_example_with(example.share()?, args);
        match args.text("what")?.unwrap_or(&self.what) {
            "adds both" => {
                let calls = [ask("a")?, ask("b")?];
                let mut sum = 0;
                for outputs in wait_all(calls) {
                    sum += outputs?.tensor("x")?.element::<i64>()?;
                }
                numbered(sum)
            }
            "takes the quicker" => {
                let calls = [ask("a")?, ask("b")?];
                let first = wait_any(&calls)?;
                let call = calls.into_iter().nth(first);
                Ok(call
                    .ok_or_else(|| Error::failed("no such call"))?
                    .wait()?
                    .into())
            }
            "asks the dear one when unsure" => {
                let cheap = ask("a")?.wait()?;
                match cheap.tensor("x")?.element::<i64>()? {
                    0..10 => Ok(ask("b")?.wait()?.into()),
                    _ => Ok(cheap.into()),
                }
            }
            "falls back" => match ask("a")?.wait() {
                Ok(outputs) => Ok(outputs.into()),
                Err(_) => Ok(ask("b")?.wait()?.into()),
            },
            // What the host does with tensors, in all languages alike.
            "reads ends and widens" => {
                let text = Tensor::single_bytes("abcdef")?;
                let (heads, tails) = (text.heads(2)?, text.tails(3)?);
                let ends = heads.iter().chain(tails.iter());
                let bytes: usize = ends.map(|(end, length)| end.len() + length).sum();
                let narrow = Tensor::single(u8::try_from(bytes).unwrap_or_default())?;
                Ok([("x", narrow.widen(Datatype::Int64)?)].into())
            }
            "passes on" => Ok(ask("a")?.wait()?.into()),
            // The signature of one example, and batches of as many rows as the number says.
            "calls with rows" => {
                let model = Model::open("a")?;
                let count = usize::try_from(number(example)?).unwrap_or_default();
                let row = example.tensor("x")?;
                let rows = Tensor::stack(&vec![row; count])?;
                let outputs = model.submit_with([("x", rows)], args)?.wait()?;
                numbered(outputs.tensor("x")?.read::<i64>()?.iter().sum())
            }
            "counts axes" => {
                let model = Model::open("a")?;
                let axes = |signature: Signature| {
                    let of = |spec: &consort_sdk::TensorSpec| spec.dims.0.len() as i64;
                    signature.inputs.first().map_or(-1, of)
                };
                numbered(10 * axes(model.signature()) + axes(model.example_signature()))
            }
            other => Err(Error::failed(format_args!("\"{other}\" is nothing I do"))),
        }
    }
}

consort_sdk::export!(Guest: ensemble);
