//! Joins and cuts tensors that have axes of billions and not one element: work without
//! end for a host that walks along them.

use consort_sdk::{Error, Tensor};

const HUGE: usize = u32::MAX as usize;

consort_guests::guest!(consort_guests::nothing, |x| {
    let hollow = Tensor::from_slice::<u8>(&[HUGE, HUGE, 0], &[])?;
    let joined = Tensor::concat(&vec![&hollow; 1000], 2)?;
    let cut = joined.slice(&[1..HUGE, 1..HUGE, 0..0])?;
    let stacked = Tensor::stack(&[&cut, &cut])?;
    let padded = stacked.pad(&[2, HUGE, HUGE, 0], 1u8)?;
    match padded.read::<u8>()?.len() {
        0 => Ok(x),
        _ => Err(Error::failed("there is something in nothing")),
    }
});
