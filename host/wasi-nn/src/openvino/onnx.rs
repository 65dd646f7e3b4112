//! What OpenVINO says of an ONNX model's inputs and outputs. There is no outline to read here:
//! what an ONNX file says of its outputs is optional, and OpenVINO works it out.

use crate::refusal::contained;
use crate::signature::{Declared, Element, Length};
use crate::{LoadError, OpenVinoLibrary, datatype};
use openvino::{Core, ElementType, Node};
use wasmtime_wasi_nn::backend::BackendError;
use wasmtime_wasi_nn::wit::TensorType;

/// The inputs and the outputs, in OpenVINO's order.
pub(super) fn ports(
    library: &OpenVinoLibrary,
    model: &[u8],
) -> Result<(Vec<Declared>, Vec<Declared>), LoadError> {
    contained(|| read(model)).map_err(|refusal| LoadError::refused(library.to_string(), refusal))
}

fn read(model: &[u8]) -> Result<(Vec<Declared>, Vec<Declared>), BackendError> {
    let model = Core::new()?.read_model_from_buffer(model, None)?;
    let inputs = (0..model.get_inputs_len()?)
        .map(|index| declared(&model.get_input_by_index(index)?))
        .collect::<Result<_, _>>()?;
    let outputs = (0..model.get_outputs_len()?)
        .map(|index| declared(&model.get_output_by_index(index)?))
        .collect::<Result<_, _>>()?;
    Ok((inputs, outputs))
}

fn declared(port: &Node) -> Result<Declared, BackendError> {
    let shape = port.get_partial_shape()?;
    let length = |least: i64, most: i64| Length {
        least: usize::try_from(least).unwrap_or_default(),
        // Below zero there is no upper end.
        most: usize::try_from(most).ok(),
    };
    let rank = shape.get_rank();
    let axes = (rank.get_min() == rank.get_max() && rank.get_min() >= 0).then(|| {
        shape
            .get_dimensions()
            .iter()
            .map(|dimension| length(dimension.get_min(), dimension.get_max()))
            .collect()
    });
    Ok(Declared {
        name: port.get_name()?,
        element: element_of(port.get_element_type()?),
        shape: axes,
    })
}

fn element_of(element: ElementType) -> Element {
    match TensorType::try_from(element) {
        Ok(known) => Element::Known(datatype::datatype(known)),
        Err(_) => Element::Unknown(element.to_string()),
    }
}
