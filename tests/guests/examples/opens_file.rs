//! Tries to read, write and list files.

use consort_sdk::Error;

consort_guests::guest!(consort_guests::nothing, |x| {
    let read = std::fs::read("/etc/passwd").map(|content| content.len());
    let written = std::fs::write("/tmp/escaped", "out");
    let listed = std::fs::read_dir("/").map(Iterator::count);
    match (&read, &written, &listed) {
        (Err(_), Err(_), Err(_)) => Err(Error::failed(format!("no files: {read:?}"))),
        _ => Ok(x),
    }
});
