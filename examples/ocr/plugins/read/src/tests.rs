use super::*;
use consort_plugin_pixels::Image;
use consort_sdk::ModelOutputs;

fn plugin() -> Read {
    Read::init("", &Assets::from_pairs([(DICTIONARY, "a\nb")])).unwrap()
}

fn line(level: u8, width: usize) -> Line {
    Line {
        image: Image::new(2, 1, vec![level, level, level, 0, 0, 0]).unwrap(),
        width,
        text: String::new(),
        score: 0.0,
    }
}

fn signature() -> Signature {
    Signature::new()
        .input("x", Datatype::Fp32, [ANY, 3.into(), 48.into(), ANY])
        .output("y", Datatype::Fp32, [ANY, 2.into()])
}

#[test]
fn only_lines_that_are_surely_upside_down_are_turned() {
    // As sure as the first pixel is light.
    let model = Model::fake("angle", signature(), |inputs, _| {
        let count = inputs.tensor("x")?.shape()[0];
        let numbers = inputs.read::<f32>("x")?;
        let rows = numbers.chunks(numbers.len() / count);
        let scores: Vec<f32> = rows
            .flat_map(|row| [0.5 - row[0] / 2.0, 0.5 + row[0] / 2.0])
            .collect();
        let scores = Tensor::from_slice(&[count, 2], &scores)?;
        Ok(ModelOutputs::from([("y", scores)]))
    });
    let mut lines = vec![line(255, 320), line(220, 320), line(10, 320)];
    plugin().turn(&model, &mut lines).unwrap();
    let first: Vec<_> = lines.iter().map(|line| line.image.data()[0]).collect();
    assert_eq!(first, [0, 220, 10]);
}

#[test]
fn lines_of_a_width_are_read_together_and_keep_their_places() {
    let calls = std::cell::RefCell::new(Vec::new());
    let model = Model::fake("text", signature(), |inputs, _| {
        let shape = inputs.tensor("x")?.shape();
        calls.borrow_mut().push((shape[0], shape[3]));
        let numbers = inputs.read::<f32>("x")?;
        let rows = numbers.chunks(numbers.len() / shape[0]);
        let scores: Vec<f32> = rows
            .flat_map(|row| {
                if row[0] > 0.0 {
                    [0.1, 0.8, 0.1, 0.0]
                } else {
                    [0.1, 0.0, 0.9, 0.0]
                }
            })
            .collect();
        let scores = Tensor::from_slice(&[shape[0], 1, 4], &scores)?;
        Ok(ModelOutputs::from([("y", scores)]))
    });
    let mut lines = vec![line(255, 640), line(10, 320), line(255, 320), line(10, 640)];
    plugin().read(&model, &mut lines).unwrap();
    let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["a", "b", "a", "b"]);
    assert_eq!(*calls.borrow(), [(2, 320), (2, 640)]);
}

#[test]
fn a_page_without_lines_asks_no_model() {
    let example = Example::from_tensors([
        ("box", Tensor::from_slice::<f32>(&[0, 4, 2], &[]).unwrap()),
        ("crop", Tensor::from_byte_strings::<&str>(&[0], []).unwrap()),
        ("size", Tensor::from_slice::<i32>(&[0, 2], &[]).unwrap()),
        ("width", Tensor::from_slice::<i32>(&[0], &[]).unwrap()),
    ]);
    let outputs = plugin().postprocess(&example).unwrap();
    assert_eq!(outputs.tensor("text").unwrap().shape(), [0]);
    assert_eq!(outputs.tensor("box").unwrap().shape(), [0, 4, 2]);
}

#[test]
fn crops_without_sizes_are_refused() {
    let example = Example::from_tensors([
        ("crop", Tensor::from_byte_strings(&[1], ["abc"]).unwrap()),
        ("size", Tensor::from_slice::<i32>(&[0, 2], &[]).unwrap()),
        ("width", Tensor::from_slice::<i32>(&[1], &[320]).unwrap()),
    ]);
    assert_eq!(
        plugin().postprocess(&example).unwrap_err().message(),
        "there are 1 crops, 0 sizes and 1 widths, as many of each are expected"
    );
}
