//! Tells the ends of texts, and numbers as wider ones: of all examples at once or of each by
//! itself. The config is `MOST together` or `MOST alone`.

use consort_sdk::{
    ANY, Assets, Columns, Datatype, Ends, Error, Example, Outputs, Plugin, Postprocess, Signature,
    Tensor,
};

struct Guest {
    most: usize,
    together: bool,
}

impl Plugin for Guest {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        let (most, how) = config.split_once(' ').unwrap_or_default();
        match (most.parse(), how) {
            (Ok(most), "together" | "alone") => Ok(Self {
                most,
                together: how == "together",
            }),
            _ => Err(Error::failed(format!("`{config}` is not `MOST HOW`"))),
        }
    }
}

impl Postprocess for Guest {
    fn describe(&self) -> Signature {
        Signature::new()
            .input("texts", Datatype::Bytes, [2])
            .input("numbers", Datatype::Int32, [ANY])
            .output("ends", Datatype::Bytes, [2])
            .output("wide", Datatype::Fp64, [ANY])
            .output("refused", Datatype::Bytes, [1])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        if self.together {
            return Err(Error::failed("each came by itself"));
        }
        let (heads, tails) = (
            example.heads("texts", self.most)?,
            example.tails("texts", self.most)?,
        );
        // More kinds of ends than are kept, which must not tell anything else.
        for more in 1..=6 {
            let longer = example.heads("texts", self.most.saturating_add(more))?;
            let mut both = heads.iter().zip(longer.iter());
            if !both
                .all(|((head, length), (longer, same))| longer.starts_with(head) && length == same)
            {
                return Err(Error::failed("one head does not begin with a shorter one"));
            }
        }
        let numbers = example.tensor("numbers")?;
        Ok([
            (
                "ends",
                Tensor::from_byte_strings(&[2], said(&heads, &tails))?,
            ),
            ("wide", numbers.widen(Datatype::Fp64)?),
            ("refused", Tensor::single_bytes(refused(numbers))?),
        ]
        .into())
    }

    fn postprocess_columns(&self, columns: &Columns) -> Result<Option<Outputs>, Error> {
        if !self.together {
            return Ok(None);
        }
        let (heads, tails) = (
            columns.heads("texts", self.most)?,
            columns.tails("texts", self.most)?,
        );
        let numbers = columns.tensor("numbers")?;
        let count = columns.count();
        let refused = vec![refused(numbers); count];
        Ok(Some(
            [
                (
                    "ends",
                    Tensor::from_byte_strings(&[count, 2], said(&heads, &tails))?,
                ),
                ("wide", numbers.widen(Datatype::Fp64)?),
                ("refused", Tensor::from_byte_strings(&[count, 1], refused)?),
            ]
            .into(),
        ))
    }
}

/// Of each text: where it begins, where it ends, and how long it is.
fn said(heads: &Ends, tails: &Ends) -> Vec<String> {
    let both = heads.iter().zip(tails.iter());
    both.map(|((head, length), (tail, same))| {
        let (head, tail) = (head.escape_ascii(), tail.escape_ascii());
        format!("{head} {tail} {length} {}", length == same)
    })
    .collect()
}

/// Why the host does not make numbers of these that might not hold them.
fn refused(numbers: &Tensor) -> String {
    match numbers.widen(Datatype::Fp32) {
        Ok(_) => "made".to_owned(),
        Err(error) => error.to_string(),
    }
}

consort_sdk::export!(Guest: postprocess);
