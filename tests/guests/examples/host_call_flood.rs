//! Asks the host for a shape as often as `x` says.

use consort_sdk::Tensor;

consort_guests::guest!(consort_guests::nothing, |x| {
    let tensor = Tensor::single(1u8)?;
    for _ in 0..x {
        std::hint::black_box(tensor.shape());
    }
    Ok(x)
});
