//! Makes as many tensors as `x` and drops none.

use consort_sdk::Tensor;

consort_guests::guest!(consort_guests::nothing, |x| {
    for _ in 0..x {
        std::mem::forget(Tensor::single(0u8)?);
    }
    Ok(x)
});
