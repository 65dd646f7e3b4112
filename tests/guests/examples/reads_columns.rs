//! Tells the sizes and sums of what it reads: of all examples at once, of each by itself, or of
//! parts that it asks the host to cut, as its config says.

use consort_sdk::{
    ANY, Assets, ByteStrings, Columns, Datatype, Error, Example, Outputs, Plugin, Postprocess,
    Signature, Tensor,
};

struct Guest {
    how: How,
}

#[derive(PartialEq)]
enum How {
    Together,
    Alone,
    Cut,
}

impl Plugin for Guest {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        let how = match config {
            "together" => How::Together,
            "alone" => How::Alone,
            "cut" => How::Cut,
            other => return Err(Error::failed(format!("`{other}` is no way to read"))),
        };
        Ok(Self { how })
    }
}

impl Postprocess for Guest {
    fn describe(&self) -> Signature {
        Signature::new()
            .input("texts", Datatype::Bytes, [2])
            .input("numbers", Datatype::Int64, [ANY])
            .output("said", Datatype::Bytes, [1])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let texts = example.tensor("texts")?;
        let numbers = example.tensor("numbers")?;
        let said = if self.how == How::Cut {
            let last = texts.rows(1..2)?.byte_strings()?;
            let first = texts.rows(0..1)?.byte_strings()?;
            let count = numbers.element_count();
            let half = numbers.read_range::<i64>(0..count / 2)?;
            let rest = numbers.read_range::<i64>(count / 2..count)?;
            let sum = half.iter().chain(rest.iter()).sum();
            said(&sizes(&first).chain(sizes(&last)).collect::<Vec<_>>(), sum)
        } else {
            let sum = numbers.read::<i64>()?.iter().sum();
            said(&sizes(&texts.byte_strings()?).collect::<Vec<_>>(), sum)
        };
        Ok(Outputs::from([("said", Tensor::single_bytes(said)?)]))
    }

    fn postprocess_columns(&self, columns: &Columns) -> Result<Option<Outputs>, Error> {
        if self.how != How::Together {
            return Ok(None);
        }
        let texts = columns.byte_strings("texts")?;
        let numbers = columns.read::<i64>("numbers")?;
        let sizes: Vec<_> = sizes(&texts).collect();
        let each = numbers.len() / columns.count();
        let examples = sizes.chunks(2).zip(numbers.chunks(each));
        let said = examples.map(|(sizes, numbers)| said(sizes, numbers.iter().sum()));
        let said = Tensor::from_byte_strings(&[columns.count(), 1], said)?;
        Ok(Some(Outputs::from([("said", said)])))
    }
}

/// How many bytes each has, and what they sum up to.
fn sizes(texts: &ByteStrings) -> impl Iterator<Item = (usize, u64)> + '_ {
    texts.iter().map(|text| {
        let sum = text.iter().map(|byte| u64::from(*byte)).sum();
        (text.len(), sum)
    })
}

fn said(texts: &[(usize, u64)], sum: i64) -> String {
    format!("{texts:?} {sum}")
}

consort_sdk::export!(Guest: postprocess);
