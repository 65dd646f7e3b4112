//! Reads what OpenVINO's own format (an XML file, with the weights beside it) says of a
//! model's inputs, outputs and weights. Nothing native has seen the file by then.
//!
//! OpenVINO numbers inputs and outputs in the order in which their layers stand in the file.

use crate::LoadError;
use crate::signature::{Declared, Element, Length};
use consort_inference::Datatype;
use roxmltree::{Document, Node, ParsingOptions};

/// A model's outline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) inputs: Vec<Declared>,
    pub(crate) outputs: Vec<Declared>,
    /// How long the weights must be at least.
    pub(crate) weights_bytes: u64,
}

/// Whether a model is in this format rather than in ONNX's, whose first byte is never that
/// of XML.
pub(crate) fn is_ir(graph: &[u8]) -> bool {
    let text = graph.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(graph);
    text.trim_ascii_start().first() == Some(&b'<')
}

/// Reads the outline.
pub(crate) fn read(graph: &[u8], nodes_max: u32) -> Result<Outline, LoadError> {
    let text = std::str::from_utf8(graph)
        .map_err(|error| not_ir(format!("it is not UTF-8 at byte {}", error.valid_up_to())))?;
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: nodes_max,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached => LoadError::TooManyNodes { max: nodes_max },
        error => not_ir(error.to_string()),
    })?;
    let net = document.root_element();
    if net.tag_name().name() != "net" {
        return Err(not_ir(format!(
            "its outermost element is <{}>, not <net>",
            net.tag_name().name()
        )));
    }
    refuse_state(net)?;
    let layers = child(net, "layers").ok_or_else(|| not_ir("it has no <layers>".to_owned()))?;
    let mut inputs = Vec::new();
    let mut outputs = Vec::new();
    for layer in children(layers, "layer") {
        match layer.attribute("type") {
            Some("Parameter") => inputs.push(parameter(layer)?),
            Some("Result") => outputs.push(result(net, layers, layer)?),
            _ => {}
        }
    }
    let weights_bytes = net
        .descendants()
        .filter(|node| node.tag_name().name() == "layer" && node.attribute("type") == Some("Const"))
        .filter_map(|layer| child(layer, "data"))
        .map(|data| number(data, "offset").saturating_add(number(data, "size")))
        .max();
    Ok(Outline {
        inputs,
        outputs,
        weights_bytes: weights_bytes.unwrap_or_default(),
    })
}

/// A model with memory would carry what one caller sent into the next caller's prediction.
fn refuse_state(net: Node<'_, '_>) -> Result<(), LoadError> {
    let stateful = |node: &Node<'_, '_>| {
        node.tag_name().name() == "layer"
            && matches!(node.attribute("type"), Some("ReadValue" | "Assign"))
    };
    match net.descendants().find(stateful) {
        None => Ok(()),
        Some(layer) => Err(LoadError::Stateful(
            layer.attribute("name").unwrap_or_default().to_owned(),
        )),
    }
}

fn parameter(layer: Node<'_, '_>) -> Result<Declared, LoadError> {
    let name = layer.attribute("name").unwrap_or_default();
    let missing = |what: &str| not_ir(format!("its input \"{name}\" has no {what}"));
    let data = child(layer, "data").ok_or_else(|| missing("<data>"))?;
    let shape = data.attribute("shape").ok_or_else(|| missing("shape"))?;
    let element = data
        .attribute("element_type")
        .ok_or_else(|| missing("element_type"))?;
    let port = child(layer, "output").and_then(|output| child(output, "port"));
    let tensor = port.and_then(|port| first_name(port.attribute("names")));
    Ok(Declared {
        name: tensor.unwrap_or_else(|| name.to_owned()),
        element: element_of(element),
        shape: parse_shape(shape)
            .ok_or_else(|| not_ir(format!("the shape of its input \"{name}\" is \"{shape}\"")))?,
    })
}

fn result(
    net: Node<'_, '_>,
    layers: Node<'_, '_>,
    layer: Node<'_, '_>,
) -> Result<Declared, LoadError> {
    let own = layer.attribute("name").unwrap_or_default();
    let wrong = |what: &str| not_ir(format!("its output \"{own}\" {what}"));
    let port = child(layer, "input")
        .and_then(|input| child(input, "port"))
        .ok_or_else(|| wrong("has no <port>"))?;
    let element = port
        .attribute("precision")
        .ok_or_else(|| wrong("has no precision"))?;
    let length = |dim: Node<'_, '_>| {
        let length: i64 = dim.text()?.trim().parse().ok()?;
        Some(usize::try_from(length).map_or(Length::ANY, Length::exactly))
    };
    let shape: Option<Vec<Length>> = children(port, "dim").map(length).collect();
    let named = first_name(layer.attribute("output_names"));
    Ok(Declared {
        name: named
            .or_else(|| source_name(net, layers, layer))
            .unwrap_or_else(|| own.to_owned()),
        element: element_of(element),
        shape: Some(shape.ok_or_else(|| wrong("has an axis whose length is no number"))?),
    })
}

/// The name of the tensor that an edge brings to the layer.
fn source_name(net: Node<'_, '_>, layers: Node<'_, '_>, layer: Node<'_, '_>) -> Option<String> {
    let id = layer.attribute("id")?;
    let edge = children(child(net, "edges")?, "edge")
        .find(|edge| edge.attribute("to-layer") == Some(id))?;
    let source = children(layers, "layer")
        .find(|source| source.attribute("id") == edge.attribute("from-layer"))?;
    let port = children(child(source, "output")?, "port")
        .find(|port| port.attribute("id") == edge.attribute("from-port"))?;
    first_name(port.attribute("names"))
}

/// The first of several names, between which there are commas; a comma in a name has a
/// backslash before it.
fn first_name(names: Option<&str>) -> Option<String> {
    let mut name = String::new();
    let mut escaped = false;
    for character in names?.chars() {
        match character {
            '\\' if !escaped => escaped = true,
            ',' if !escaped => break,
            other => {
                if escaped && other != ',' {
                    name.push('\\');
                }
                name.push(other);
                escaped = false;
            }
        }
    }
    Some(name).filter(|name| !name.is_empty())
}

/// Reads `?,1..8,16`: any length, a range, one length. The outer `None` is an error, the
/// inner one (`...`) an open number of axes.
fn parse_shape(text: &str) -> Option<Option<Vec<Length>>> {
    match text.trim() {
        "" => Some(Some(Vec::new())),
        "..." => Some(None),
        axes => axes
            .split(',')
            .map(parse_length)
            .collect::<Option<_>>()
            .map(Some),
    }
}

fn parse_length(text: &str) -> Option<Length> {
    let text = text.trim();
    if text == "?" || text == "-1" {
        return Some(Length::ANY);
    }
    let Some((least, most)) = text.split_once("..") else {
        return text.parse().ok().map(Length::exactly);
    };
    let end = |text: &str| match text {
        "" => Some(None),
        number => number.parse().ok().map(Some),
    };
    let (least, most) = (end(least)?, end(most)?);
    Some(Length {
        least: least.unwrap_or_default(),
        most,
    })
}

/// An element type, as inputs (`f32`) and ports (`FP32`) have it.
fn element_of(name: &str) -> Element {
    let datatype = match name.to_ascii_lowercase().as_str() {
        "f16" | "fp16" => Datatype::Fp16,
        "f32" | "fp32" => Datatype::Fp32,
        "f64" | "fp64" => Datatype::Fp64,
        "bf16" => Datatype::Bf16,
        "i8" => Datatype::Int8,
        "i16" => Datatype::Int16,
        "i32" => Datatype::Int32,
        "i64" => Datatype::Int64,
        "u8" => Datatype::Uint8,
        "u16" => Datatype::Uint16,
        "u32" => Datatype::Uint32,
        "u64" => Datatype::Uint64,
        "boolean" | "bool" => Datatype::Bool,
        "string" => Datatype::Bytes,
        other => return Element::Unknown(other.to_owned()),
    };
    Element::Known(datatype)
}

fn number(node: Node<'_, '_>, attribute: &str) -> u64 {
    let text = node.attribute(attribute);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children()
        .find(|child| child.tag_name().name() == name)
}

fn children<'a, 'input>(
    node: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children()
        .filter(move |child| child.tag_name().name() == name)
}

fn not_ir(why: String) -> LoadError {
    LoadError::NotIr(why)
}

#[cfg(test)]
mod tests;
