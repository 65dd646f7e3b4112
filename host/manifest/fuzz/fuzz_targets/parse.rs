//! Any text either is a manifest or is refused with places that lie in it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(problems) = consort_manifest::parse("fuzz.toml", text) {
        assert!(problems.count() > 0);
        for problem in &problems {
            assert!(problem.place.start <= problem.place.end);
            assert!(problem.place.end <= text.len());
        }
        let shown = problems.to_string();
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
    }
});
