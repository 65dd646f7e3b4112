//! Makes a tensor in `init` and keeps it for later, which the contract forbids.

use consort_sdk::{Error, Tensor};
use std::cell::RefCell;

thread_local! {
    static KEPT: RefCell<Option<Tensor>> = const { RefCell::new(None) };
}

consort_guests::guest!(
    |_config| {
        let tensor = Tensor::single(42i64)?;
        KEPT.with(|kept| *kept.borrow_mut() = Some(tensor));
        Ok(())
    },
    |x| KEPT.with(|kept| match &*kept.borrow() {
        Some(tensor) => Ok(tensor.element::<i64>()? + x),
        None => Err(Error::failed("nothing was kept")),
    })
);
