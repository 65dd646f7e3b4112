//! Passes more to the host than it takes: a huge error text, a huge tensor, one too
//! large for any number, more tensors than memory, a list with too many results.

use consort_sdk::{Error, Tensor};

fn try_all(x: i64) -> Result<i64, Error> {
    match x {
        1 => return Err(Error::failed("a".repeat(50 << 20))),
        2 => drop(Tensor::from_slice(&[20 << 20], &vec![1u8; 20 << 20])?),
        3 => drop(Tensor::single(1f32)?.pad(&[usize::MAX], 1f32)?),
        4 => {
            let one = Tensor::from_slice(&[1 << 20], &vec![1u8; 1 << 20])?;
            drop(Tensor::stack(&vec![&one; 1000])?);
        }
        6 => drop(Tensor::stack(&vec![&Tensor::single(1u8)?; 1 << 20])?),
        5 => drop(Tensor::from_slice::<u8>(&[1; 100_000], &[1])?),
        _ => {}
    }
    Ok(x)
}

consort_guests::guest!(consort_guests::nothing, try_all);
