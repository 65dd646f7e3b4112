//! A look at a component's bytes before anything is compiled: what kind of file it is,
//! what it imports and exports, and whether it is within the limits of compilation.

use crate::errors::LoadProblem;
use crate::limits::Limits;
use crate::logs::excerpt;
use wasmparser::{
    Chunk, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Instance, Parser, Payload,
};

/// What a component's outer sections say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    /// Core modules that one instance of the component instantiates.
    pub(crate) core_instances: usize,
}

/// What one instance of a component makes, those that it instantiates included.
#[derive(Debug, Clone, Copy, Default)]
struct Made {
    core_instances: usize,
    component_instances: usize,
}

/// What is known of a component while its sections are read.
#[derive(Debug, Default)]
struct Scope {
    made: Made,
    /// The components that it can name; `None` for one that comes from elsewhere.
    components: Vec<Option<Made>>,
}

/// What a section lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Module,
    Component,
}

/// How much of a file that is not WebAssembly an error shows.
const BEGINNING_BYTES: usize = 16;
/// Nested modules and components.
const DEPTH_MAX: usize = 100;
/// Components instantiated in one instance of the outermost. The compiler lays all of them
/// out one by one, and thirty components that each instantiate the one before twice are a
/// thousand million of them in a file of a kilobyte.
const COMPONENT_INSTANCES_MAX: usize = 1_000;

/// Bytes of the name of an import or export; nothing known has a longer one. Nobody has
/// checked what is in a name when it comes into a message.
const NAME_BYTES_MAX: usize = 256;

const MAGIC: &[u8] = b"\0asm";
/// The second half of the version field: what layer of the standard the file is of.
const LAYER_MODULE: [u8; 2] = [0, 0];

/// Walks over all sections of the file, nested ones included.
pub(crate) fn scan(bytes: &[u8], limits: &Limits) -> Result<Scan, LoadProblem> {
    check_beginning(bytes)?;
    let mut scan = Scan::default();
    let mut rest = bytes;
    let mut parser = Parser::new(0);
    let mut outer: Vec<(Parser, Layer)> = Vec::new();
    let mut scope = Scope::default();
    let mut outer_scopes: Vec<Scope> = Vec::new();
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
            Payload::ModuleSection { parser: inner, .. } => {
                outer.push((std::mem::replace(&mut parser, inner), Layer::Module));
            }
            Payload::ComponentSection { parser: inner, .. } => {
                if outer.len() >= DEPTH_MAX {
                    return Err(LoadProblem::Invalid(format!(
                        "components are nested more than {DEPTH_MAX} deep"
                    )));
                }
                outer.push((std::mem::replace(&mut parser, inner), Layer::Component));
                outer_scopes.push(std::mem::take(&mut scope));
            }
            Payload::End(_) => match outer.pop() {
                Some((around, layer)) => {
                    parser = around;
                    if layer == Layer::Component {
                        let made = scope.made;
                        scope = outer_scopes.pop().unwrap_or_default();
                        scope.components.push(Some(made));
                    }
                }
                None => {
                    scan.core_instances = scope.made.core_instances;
                    return Ok(scan);
                }
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
                    scope.made.core_instances += usize::from(made);
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    if let ComponentInstance::Instantiate {
                        component_index, ..
                    } = instance.map_err(invalid)?
                    {
                        scope.instantiate(component_index)?;
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    match alias.map_err(invalid)? {
                        ComponentAlias::InstanceExport {
                            kind: ComponentExternalKind::Component,
                            ..
                        } => scope.components.push(None),
                        ComponentAlias::Outer {
                            kind: ComponentOuterAliasKind::Component,
                            count,
                            index,
                        } => {
                            let around = match (count as usize).checked_sub(1) {
                                None => Some(&scope),
                                Some(further) => outer_scopes.iter().nth_back(further),
                            };
                            let known = around.and_then(|around| around.component(index));
                            scope.components.push(known);
                        }
                        _ => {}
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import.map_err(invalid)?;
                    if matches!(import.ty, ComponentTypeRef::Component(_)) {
                        scope.components.push(None);
                    }
                    if outer.is_empty() {
                        scan.imports.push(excerpt(import.name.name, NAME_BYTES_MAX));
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export.map_err(invalid)?;
                    if export.kind == ComponentExternalKind::Component {
                        // An export is one more name for what it exports.
                        let known = scope.component(export.index);
                        scope.components.push(known);
                    }
                    if outer.is_empty() {
                        scan.exports.push(excerpt(export.name.name, NAME_BYTES_MAX));
                    }
                }
            }
            _ => {}
        }
    }
}

// === impl Scope ===

impl Scope {
    fn component(&self, index: u32) -> Option<Made> {
        self.components.get(index as usize).copied().flatten()
    }

    /// Counts what an instance of a component makes.
    fn instantiate(&mut self, component: u32) -> Result<(), LoadProblem> {
        let Some(inner) = self.component(component) else {
            return Err(LoadProblem::Invalid(
                "it instantiates a component that it does not hold itself, which this host does \
                 not take"
                    .to_owned(),
            ));
        };
        let made = &mut self.made;
        made.core_instances = made.core_instances.saturating_add(inner.core_instances);
        made.component_instances = made
            .component_instances
            .saturating_add(inner.component_instances)
            .saturating_add(1);
        if made.component_instances > COMPONENT_INSTANCES_MAX {
            return Err(LoadProblem::Invalid(format!(
                "it instantiates more than {COMPONENT_INSTANCES_MAX} components"
            )));
        }
        Ok(())
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
    fn instances_are_counted_through_components() {
        let nested = r#"(component
            (component $twice
                (core module $m)
                (core instance (instantiate $m))
                (core instance (instantiate $m)))
            (component $unused (core module $m) (core instance (instantiate $m)))
            (component $outer
                (alias outer 1 $twice (component $inner))
                (instance (instantiate $inner))
                (instance (instantiate $inner)))
            (instance (instantiate $outer))
            (export "again" (component $outer))
            (instance (instantiate 3)))"#;
        let bytes = wat::parse_str(nested).unwrap();
        wasmparser::validate(&bytes).unwrap();
        let scan = scan(&bytes, &Limits::default()).unwrap();
        assert_eq!(scan.core_instances, 8);
    }

    #[test]
    fn components_that_multiply_are_refused() {
        let mut text = "(component $c0)".to_owned();
        for level in 1..=40 {
            let inner = level - 1;
            text += &format!(
                "(component $c{level} (alias outer 1 $c{inner} (component $inner))
                    (instance (instantiate $inner)) (instance (instantiate $inner)))"
            );
        }
        let bytes = wat::parse_str(format!("(component {text})")).unwrap();
        assert!(check(&bytes).contains("more than 1000 components"));
        let given =
            "(component (component $c (import \"c\" (component $d)) (instance (instantiate $d))))";
        let bytes = wat::parse_str(given).unwrap();
        assert!(check(&bytes).contains("does not hold itself"));
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
