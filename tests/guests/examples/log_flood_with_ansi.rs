//! Writes far more than it may to the log and both standard streams, in colours.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

consort_guests::guest!(consort_guests::nothing, |x| {
    consort_sdk::warn!("first \u{1b}[31mred\u{1b}[0m\nsecond line");
    for line in 0..x {
        consort_sdk::info!("flood {line} {}", "\u{7}".repeat(100));
        println!("\u{1b}]0;title\u{7} line {line}");
        eprint!("no end of line {line}\r");
    }
    Ok(x)
});
