//! Answers with the sum of all numbers it has ever seen: what is left of earlier calls,
//! and of other tenants, shows. Prints in `init` if its config says so, which keeps a
//! stream open and so makes a snapshot impossible.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::cell::Cell;

thread_local! {
    static SUM: Cell<i64> = const { Cell::new(0) };
}

consort_guests::guest!(
    |config| {
        if config == "print" {
            println!("a word from init");
        }
        Ok(())
    },
    |x| Ok(SUM.with(|sum| {
        sum.set(sum.get() + x);
        sum.get()
    }))
);
