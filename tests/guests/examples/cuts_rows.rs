//! Cuts the rows that it is given in two, as often as its config says, and gives back the first
//! part of one cut without having read any. The config is `ROWS TIMES`.

use consort_sdk::{ANY, Assets, Datatype, Error, Example, Outputs, Plugin, Postprocess, Signature};

struct Guest {
    rows: usize,
    times: usize,
}

impl Plugin for Guest {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        let mut numbers = config.split(' ').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(rows)), Some(Ok(times))) => Ok(Self { rows, times }),
            _ => Err(Error::failed(format!("`{config}` is not `ROWS TIMES`"))),
        }
    }
}

impl Postprocess for Guest {
    fn describe(&self) -> Signature {
        Signature::new()
            .input("rows", Datatype::Fp32, [ANY, ANY])
            .output("cut", Datatype::Fp32, [ANY, ANY])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let rows = example.tensor("rows")?;
        let cuts = (0..self.times).map(|_| rows.rows(0..self.rows));
        let mut cuts = cuts.collect::<Result<Vec<_>, _>>()?;
        let cut = cuts.pop().ok_or_else(|| Error::failed("nothing is cut"))?;
        Ok(Outputs::from([("cut", cut)]))
    }
}

consort_sdk::export!(Guest: postprocess);
