//! Asks for 64 MiB of random bytes at once.

#[cfg(target_family = "wasm")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package wasi:random@0.2.0;
            interface random {
                get-random-bytes: func(len: u64) -> list<u8>;
                get-random-u64: func() -> u64;
            }
            world flood { import random; }
        ",
    });
    pub(crate) use wasi::random::random::get_random_bytes;
}

#[cfg(not(target_family = "wasm"))]
mod bindings {
    pub(crate) fn get_random_bytes(len: u64) -> Vec<u8> {
        vec![0; len as usize]
    }
}

consort_guests::guest!(consort_guests::nothing, |x| {
    Ok(bindings::get_random_bytes((x as u64) << 20).len() as i64)
});
