//! A look at a component's bytes before anything is compiled: what kind of file it is,
//! what it imports and exports, and whether it is within the limits of compilation.

use crate::errors::LoadProblem;
use crate::limits::Limits;
use wasmparser::{Chunk, Instance, Parser, Payload};

/// What a component's outer sections say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    /// Core modules instantiated, counting each component once.
    pub(crate) core_instances: usize,
}

/// How much of a file that is not WebAssembly an error shows.
const BEGINNING_BYTES: usize = 16;
/// Nested modules and components.
const DEPTH_MAX: usize = 100;

const MAGIC: &[u8] = b"\0asm";
/// The second half of the version field: what layer of the standard the file is of.
const LAYER_MODULE: [u8; 2] = [0, 0];

/// Walks over all sections of the file, nested ones included.
pub(crate) fn scan(bytes: &[u8], limits: &Limits) -> Result<Scan, LoadProblem> {
    check_beginning(bytes)?;
    let mut scan = Scan::default();
    let mut rest = bytes;
    let mut parser = Parser::new(0);
    let mut outer: Vec<Parser> = Vec::new();
    loop {
        // Only at the very end may the parser take it that nothing more comes; before,
        // it would call a section that is cut off invalid rather than unfinished.
        let chunk = parser.parse(rest, rest.is_empty());
        let (payload, consumed) = match chunk {
            Ok(Chunk::Parsed { payload, consumed }) => (payload, consumed),
            Ok(Chunk::NeedMoreData(_)) => {
                return Err(LoadProblem::Truncated(bytes.len() as u64));
            }
            Err(_) if rest.is_empty() => {
                return Err(LoadProblem::Truncated(bytes.len() as u64));
            }
            Err(error) => return Err(LoadProblem::Invalid(error.to_string())),
        };
        rest = rest.get(consumed..).unwrap_or_default();
        match payload {
            Payload::ModuleSection { parser: inner, .. }
            | Payload::ComponentSection { parser: inner, .. } => {
                if outer.len() >= DEPTH_MAX {
                    return Err(LoadProblem::Invalid(format!(
                        "components are nested more than {DEPTH_MAX} deep"
                    )));
                }
                outer.push(std::mem::replace(&mut parser, inner));
            }
            Payload::End(_) => match outer.pop() {
                Some(around) => parser = around,
                None => return Ok(scan),
            },
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                let bytes = range.len();
                if bytes > limits.function_bytes_max {
                    return Err(LoadProblem::FunctionTooLarge {
                        bytes,
                        offset: range.start as u64,
                        bytes_max: limits.function_bytes_max,
                    });
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    let made = matches!(instance.map_err(invalid)?, Instance::Instantiate { .. });
                    scan.core_instances += usize::from(made);
                }
            }
            Payload::ComponentImportSection(section) if outer.is_empty() => {
                for import in section {
                    let import = import.map_err(invalid)?;
                    scan.imports.push(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if outer.is_empty() => {
                for export in section {
                    let export = export.map_err(invalid)?;
                    scan.exports.push(export.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
}

fn invalid(error: wasmparser::BinaryReaderError) -> LoadProblem {
    LoadProblem::Invalid(error.to_string())
}

fn check_beginning(bytes: &[u8]) -> Result<(), LoadProblem> {
    if !bytes.starts_with(MAGIC) {
        if !bytes.is_empty() && MAGIC.starts_with(bytes) {
            return Err(LoadProblem::Truncated(bytes.len() as u64));
        }
        return Err(LoadProblem::NotWasm(beginning(bytes)));
    }
    match bytes.get(6..8) {
        None => Err(LoadProblem::Truncated(bytes.len() as u64)),
        Some(layer) if layer == LAYER_MODULE => Err(LoadProblem::CoreModule),
        Some(_) => Ok(()),
    }
}

fn beginning(bytes: &[u8]) -> String {
    match bytes.get(..BEGINNING_BYTES.min(bytes.len())) {
        None | Some([]) => "nothing (it is empty)".to_owned(),
        Some(start) => format!("\"{}\"", start.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> String {
        match scan(bytes, &Limits::default()) {
            Ok(scan) => format!("{:?} {:?}", scan.imports, scan.exports),
            Err(problem) => problem.to_string(),
        }
    }

    const COMPONENT: &str = r#"(component
        (import "consort:inference/types@0.1.0" (instance))
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (export "init" (func $f))
    )"#;

    #[test]
    fn outer_names_are_listed() {
        let bytes = wat::parse_str(COMPONENT).unwrap();
        assert_eq!(
            check(&bytes),
            r#"["consort:inference/types@0.1.0"] ["init"]"#
        );
    }

    #[test]
    fn other_files_are_named() {
        assert!(check(b"").contains("begins with nothing"));
        let script = check(b"%PDF-1.7\n\xff");
        assert!(
            script.contains(r#"begins with "%PDF-1.7\n\xff";"#),
            "{script}"
        );
        let module = wat::parse_str("(module)").unwrap();
        assert!(check(&module).contains("wasm-tools component new"));
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = wat::parse_str(COMPONENT).unwrap();
        for end in 0..bytes.len() {
            let problem = scan(&bytes[..end], &Limits::default());
            // At the end of a section a shorter component is a component.
            match problem {
                Err(LoadProblem::NotWasm(_)) => assert_eq!(end, 0),
                Err(LoadProblem::Truncated(at)) => assert_eq!(at, end as u64),
                Err(other) => panic!("{end}: {other}"),
                Ok(_) => drop(wasmparser::validate(&bytes[..end]).unwrap()),
            }
        }
    }

    #[test]
    fn large_functions_are_refused() {
        let body = "i32.const 1 drop ".repeat(100);
        let text = format!("(component (core module (func {body})))");
        let bytes = wat::parse_str(text).unwrap();
        let limits = Limits {
            function_bytes_max: 200,
            ..Limits::default()
        };
        let problem = scan(&bytes, &limits).unwrap_err().to_string();
        assert!(problem.contains("function_bytes_max"), "{problem}");
        assert!(scan(&bytes, &Limits::default()).is_ok());
    }
}
