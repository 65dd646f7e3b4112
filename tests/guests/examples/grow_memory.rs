//! Takes all the memory it can get: with care (x = 1), or until the allocator aborts.

use consort_guests::MARK;
use consort_sdk::Error;

const MIB: usize = 1 << 20;

fn take(carefully: bool) -> Result<i64, Error> {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut more = Vec::new();
        if carefully && more.try_reserve(MIB).is_err() {
            return Ok(taken.len() as i64);
        }
        more.resize(MIB, 1);
        taken.push(std::hint::black_box(more));
    }
}

consort_guests::guest!(consort_guests::nothing, |x| match x {
    MARK => take(false),
    1 => take(true),
    x => Ok(x),
});
