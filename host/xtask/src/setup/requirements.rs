//! Reads `requirements.txt`: every line pinned to one version, every wheel to a digest.
//! pip enforces the same; reading it here gives the pins to who needs them.

use crate::failure::Failure;

/// The file, as it was when this program was built.
pub(crate) const TEXT: &str = include_str!("../../requirements.txt");

/// One pinned package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement {
    pub(crate) name: String,
    pub(crate) version: String,
    /// SHA-256 of each wheel that may be installed.
    pub(crate) hashes: Vec<String>,
}

/// The version that the file pins for a package.
pub(crate) fn version_of(package: &str) -> Result<String, Failure> {
    let requirements = parse(TEXT)?;
    let found = requirements.into_iter().find(|one| one.name == package);
    found
        .map(|one| one.version)
        .ok_or_else(|| Failure::Requirement {
            line: TEXT.lines().count(),
            problem: format!("{package} is not named up to here"),
        })
}

/// Every requirement, or what is wrong with the first line that is.
pub(crate) fn parse(text: &str) -> Result<Vec<Requirement>, Failure> {
    let mut requirements: Vec<Requirement> = Vec::new();
    for (start, line) in logical_lines(text) {
        let failure = |problem: String| Failure::Requirement {
            line: start,
            problem,
        };
        let mut words = line.split_whitespace();
        let Some(pin) = words.next() else { continue };
        let Some((name, version)) = pin.split_once("==") else {
            return Err(failure(format!("{pin:?} is not pinned with `==`")));
        };
        if name.is_empty() || version.is_empty() {
            return Err(failure(format!("{pin:?} is not NAME==VERSION")));
        }
        if requirements.iter().any(|known| known.name == name) {
            return Err(failure(format!("{name} is named twice")));
        }
        let mut hashes = Vec::new();
        for word in words {
            let Some(hash) = word.strip_prefix("--hash=sha256:") else {
                return Err(failure(format!("{word:?} is not --hash=sha256:...")));
            };
            if hash.len() != 64 || !hash.chars().all(|c| c.is_ascii_hexdigit()) {
                return Err(failure(format!("{hash:?} is not 64 hexadecimal digits")));
            }
            hashes.push(hash.to_owned());
        }
        if hashes.is_empty() {
            return Err(failure(format!("{pin} has no digest")));
        }
        requirements.push(Requirement {
            name: name.to_owned(),
            version: version.to_owned(),
            hashes,
        });
    }
    Ok(requirements)
}

/// Lines without comments, those ending in a backslash joined with the next, each with the
/// number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.split_once('#').map_or(line, |(before, _)| before);
        let (part, goes_on) = match line.trim_end().strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        let (start, mut whole) = open.take().unwrap_or((at + 1, String::new()));
        whole.push_str(part);
        if goes_on {
            open = Some((start, whole));
        } else if !whole.trim().is_empty() {
            lines.push((start, whole));
        }
    }
    lines.extend(open);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::pins::{MAGIKA, MAGIKA_VERSION, ONNX_RUNTIME_VERSION, ONNX_RUNTIMES};

    fn problem(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn pins_and_their_digests_are_read_over_continued_lines() {
        let hash = "a".repeat(64);
        let other = "b".repeat(64);
        let text = format!(
            "# a comment\none==1.0 \\\n    --hash=sha256:{hash} \\\n    --hash=sha256:{other}\n\ntwo==2 --hash=sha256:{hash}\n"
        );
        let read = parse(&text).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].name, "one");
        assert_eq!(read[0].version, "1.0");
        assert_eq!(read[0].hashes, [hash.clone(), other]);
        assert_eq!(read[1].hashes, [hash]);
    }

    #[test]
    fn each_way_to_be_wrong_names_its_line() {
        let hash = "a".repeat(64);
        assert!(
            problem("\none>=1")
                .starts_with("line 2 of host/xtask/requirements.txt: \"one>=1\" is not pinned")
        );
        assert!(problem("one==1").contains("one==1 has no digest"));
        assert!(problem("one== --hash=sha256:0").contains("is not NAME==VERSION"));
        assert!(problem("one==1 --hash=sha256:0f").contains("is not 64 hexadecimal digits"));
        assert!(problem("one==1 --hash=md5:0").contains("is not --hash=sha256"));
        let twice = format!("one==1 --hash=sha256:{hash}\none==2 --hash=sha256:{hash}");
        assert!(
            problem(&twice).starts_with("line 2 of"),
            "{}",
            problem(&twice)
        );
        assert!(problem(&twice).contains("one is named twice"));
    }

    #[test]
    fn a_version_is_found_by_name() {
        assert_eq!(version_of("onnxruntime").unwrap(), ONNX_RUNTIME_VERSION);
        let error = version_of("nothing").unwrap_err().to_string();
        assert!(error.contains("nothing is not named"), "{error}");
    }

    #[test]
    fn the_committed_file_agrees_with_the_pins_of_set_up() {
        let requirements = parse(TEXT).unwrap();
        let one = |name: &str| requirements.iter().find(|one| one.name == name).unwrap();
        assert_eq!(one("onnxruntime").version, ONNX_RUNTIME_VERSION);
        assert_eq!(one("magika").version, MAGIKA_VERSION);
        for pin in ONNX_RUNTIMES.iter().filter(|pin| pin.os == "linux") {
            let hashes = &one("onnxruntime").hashes;
            assert!(
                hashes.iter().any(|hash| hash == pin.wheel.sha256),
                "{pin:?}"
            );
        }
        assert!(
            one("magika")
                .hashes
                .iter()
                .any(|hash| hash == MAGIKA.sha256)
        );
    }

    #[test]
    fn the_committed_file_pins_everything_that_is_asked_for() {
        let requirements = parse(TEXT).unwrap();
        let wanted = include_str!("../../requirements.in");
        for line in wanted.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['=', '<', '[']).next().unwrap();
            let pinned = requirements.iter().find(|one| one.name == name).unwrap();
            if let Some((_, version)) = line.split_once("==") {
                assert_eq!(pinned.version, version, "{name}");
            }
        }
    }
}
