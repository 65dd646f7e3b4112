//! Small ONNX models, written byte by byte, so that a test makes the models it needs: many
//! versions of one, say, each of which shows in its output which it is.

/// `y = x + number`, one FP32 number an example.
pub fn plus(number: f32) -> Vec<u8> {
    let graph = Message::new()
        .message(1, node("Add", &["x", "number"], &["y"]))
        .text(2, "plus")
        .message(5, constant("number", FP32, &number.to_le_bytes()))
        .message(11, value("x", FP32, &[None, Some(1)]))
        .message(12, value("y", FP32, &[None, Some(1)]));
    model(graph)
}

/// `y = x > number`: a boolean for an FP32 number.
pub fn above(number: f32) -> Vec<u8> {
    let graph = Message::new()
        .message(1, node("Greater", &["x", "number"], &["y"]))
        .text(2, "above")
        .message(5, constant("number", FP32, &number.to_le_bytes()))
        .message(11, value("x", FP32, &[None, Some(1)]))
        .message(12, value("y", BOOL, &[None, Some(1)]));
    model(graph)
}

/// `y` is the number at the place `x`, of which there are `numbers.len()`: a model that fails
/// where `x` is beyond them, at run time and on that example alone.
pub fn lookup(numbers: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    let numbers = Message::new().int(1, numbers.len() as u64).int(2, FP32);
    let to_whole = Message::new().text(1, "to").int(3, INT64).int(20, 2);
    let graph = Message::new()
        .message(1, node("Cast", &["x"], &["place"]).message(5, to_whole))
        .message(1, node("Gather", &["numbers", "place"], &["y"]))
        .text(2, "lookup")
        .message(5, numbers.text(8, "numbers").bytes(9, &bytes))
        .message(11, value("x", FP32, &[None, Some(1)]))
        .message(12, value("y", FP32, &[None, Some(1)]));
    model(graph)
}

/// `y = x + x`, one INT64 number without an axis of its own an example.
pub fn twice() -> Vec<u8> {
    let graph = Message::new()
        .message(1, node("Add", &["x", "x"], &["y"]))
        .text(2, "twice")
        .message(11, value("x", INT64, &[None]))
        .message(12, value("y", INT64, &[None]));
    model(graph)
}

/// A sum that goes on: `y = x + sum + number` and `next`, the same again, one FP32 number a
/// row each. `rows` is the first axis of all, and `length` the other one of `sum`.
pub fn summing(number: f32, rows: Option<u64>, length: Option<u64>) -> Vec<u8> {
    summing_of(FP32, &number.to_le_bytes(), rows, length)
}

/// [`summing`] of INT64 numbers.
pub fn summing_whole(number: i64) -> Vec<u8> {
    summing_of(INT64, &number.to_le_bytes(), None, Some(1))
}

fn summing_of(datatype: u64, number: &[u8], rows: Option<u64>, length: Option<u64>) -> Vec<u8> {
    let graph = Message::new()
        .message(1, node("Add", &["x", "number"], &["more"]))
        .message(1, node("Add", &["more", "sum"], &["y"]))
        .message(1, node("Identity", &["y"], &["next"]))
        .text(2, "summing")
        .message(5, constant("number", datatype, number))
        .message(11, value("x", datatype, &[rows, Some(1)]))
        .message(11, value("sum", datatype, &[rows, length]))
        .message(12, value("y", datatype, &[rows, Some(1)]))
        .message(12, value("next", datatype, &[rows, Some(1)]));
    model(graph)
}

/// [`plus`] in a file that is about `padding` bytes larger.
pub fn padded(number: f32, padding: usize) -> Vec<u8> {
    let words = Message::new().text(6, &" ".repeat(padding));
    [plus(number), words.0].concat()
}

/// What a tokens' model looks like: `input_ids` and `attention_mask` in, `doubled` (the ids
/// twice) and `count` (of what the mask lets through) out.
pub fn tokens() -> Vec<u8> {
    tokens_of(node("Add", &["input_ids", "input_ids"], &["doubled"]))
}

/// Another version of it, in which `doubled` is the ids squared.
pub fn squared_tokens() -> Vec<u8> {
    tokens_of(node("Mul", &["input_ids", "input_ids"], &["doubled"]))
}

fn tokens_of(doubled: Message) -> Vec<u8> {
    let axes = constant("axes", INT64, &1i64.to_le_bytes());
    let keeps_no_axis = Message::new().text(1, "keepdims").int(3, 0).int(20, 2);
    let sum = node("ReduceSum", &["attention_mask", "axes"], &["count"]).message(5, keeps_no_axis);
    let graph = Message::new()
        .message(1, doubled)
        .message(1, sum)
        .text(2, "tokens")
        .message(5, axes)
        .message(11, value("input_ids", INT64, &[None, None]))
        .message(11, value("attention_mask", INT64, &[None, None]))
        .message(12, value("doubled", INT64, &[None, None]))
        .message(12, value("count", INT64, &[None]));
    model(graph)
}

/// ONNX's numbers of datatypes.
const FP32: u64 = 1;
const INT64: u64 = 7;
const BOOL: u64 = 9;

fn model(graph: Message) -> Vec<u8> {
    let operators = Message::new().text(1, "").int(2, 13);
    let model = Message::new().int(1, 8).message(7, graph);
    model.message(8, operators).0
}

/// A tensor of one element that the model has with it.
fn constant(name: &str, datatype: u64, bytes: &[u8]) -> Message {
    let tensor = Message::new().int(1, 1).int(2, datatype);
    tensor.text(8, name).bytes(9, bytes)
}

fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    let mut node = Message::new();
    for input in inputs {
        node = node.text(1, input);
    }
    for output in outputs {
        node = node.text(2, output);
    }
    node.text(4, operator)
}

/// A tensor by name; lengths that are left open all go by names of their own place.
fn value(name: &str, datatype: u64, shape: &[Option<u64>]) -> Message {
    let mut lengths = Message::new();
    for (axis, length) in shape.iter().enumerate() {
        let length = match length {
            Some(length) => Message::new().int(1, *length),
            None => Message::new().text(2, &format!("axis{axis}")),
        };
        lengths = lengths.message(1, length);
    }
    let tensor = Message::new().int(1, datatype).message(2, lengths);
    let of_type = Message::new().message(1, tensor);
    Message::new().text(1, name).message(2, of_type)
}

/// A message of protocol buffers.
struct Message(Vec<u8>);

// === impl Message ===

impl Message {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn int(mut self, field: u64, number: u64) -> Self {
        self.varint(field << 3);
        self.varint(number);
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}
