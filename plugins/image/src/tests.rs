//! Files, sizes and limits; what resizing does to levels is tested in `consort-plugin-pixels`.

use super::*;
use proptest::prelude::*;

/// A PNG file of these levels.
fn png(width: u32, height: u32, color: png::ColorType, data: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    file
}

fn run(config: &str, file: &[u8]) -> Result<Outputs, Error> {
    let plugin = Images::init(config, &Assets::none())?;
    let image = Tensor::single_bytes(file)?;
    match plugin.preprocess(&Example::from_tensors([("image", image)]))? {
        Outcome::Forward(outputs) => Ok(outputs),
        Outcome::Answer(_) => Err(Error::failed("it answered")),
    }
}

fn shape(outputs: &Outputs, name: &str) -> Vec<usize> {
    outputs.tensor(name).unwrap().shape()
}

#[test]
fn png_of_all_kinds_is_read() {
    let max = 100;
    let grey = png(2, 1, png::ColorType::Grayscale, &[7, 9]);
    let image = decode(&grey, max, Alpha::Drop).unwrap();
    assert_eq!(image.data(), [7, 7, 7, 9, 9, 9]);
    let colour = png(1, 1, png::ColorType::Rgb, &[1, 2, 3]);
    assert_eq!(decode(&colour, max, Alpha::Drop).unwrap().data(), [1, 2, 3]);
    let half = png(1, 1, png::ColorType::Rgba, &[0, 100, 255, 128]);
    assert_eq!(
        decode(&half, max, Alpha::White).unwrap().data(),
        [127, 177, 255]
    );
    assert_eq!(
        decode(&half, max, Alpha::Drop).unwrap().data(),
        [0, 100, 255]
    );
    // Black on nothing lies on white, light on nothing is turned to its negative.
    let black = png(2, 1, png::ColorType::GrayscaleAlpha, &[0, 255, 0, 0]);
    let image = decode(&black, max, Alpha::Contrast).unwrap();
    assert_eq!(image.data(), [0, 0, 0, 255, 255, 255]);
    let light = png(2, 1, png::ColorType::GrayscaleAlpha, &[250, 255, 9, 0]);
    let image = decode(&light, max, Alpha::Contrast).unwrap();
    assert_eq!(image.data(), [5, 5, 5, 255, 255, 255]);
}

#[test]
fn a_header_over_the_limit_is_refused() {
    let file = png(11, 10, png::ColorType::Grayscale, &[0; 110]);
    assert_eq!(
        run(r#"{"pixels_max": 100}"#, &file).unwrap_err().message(),
        "tensor \"image\": the PNG image has 11 x 10 pixels, and `pixels_max` in the plugin's \
         configuration allows 100"
    );
    let error = run(r#"{"output_pixels_max": 99}"#, &file).unwrap_err();
    assert!(error.message().contains("`output_pixels_max`"), "{error}");
}

#[test]
fn what_is_no_image_is_said() {
    for (file, expected) in [
        (&b""[..], "there are no bytes"),
        (b"GIF89a", "this is no image"),
        (b"\x89PNG\r\n\x1a\n", "the PNG image is broken"),
        (b"\xff\xd8\xff\xe0", "the JPEG image is broken"),
        (b"RIFF\x04\0\0\0WEBP", "the WebP image is broken"),
    ] {
        let error = run("", file).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
        assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
    }
}

#[test]
fn a_page_becomes_numbers_and_a_frame() {
    let config = r#"{
        "frame": {"side_max": 100, "multiple": 32, "band_height_max": 30, "band_ratio": 4},
        "resize": {"to": "short_side", "length": 64, "multiple": 32}
    }"#;
    let file = png(200, 40, png::ColorType::Grayscale, &[255; 8000]);
    let outputs = run(config, &file).unwrap();
    // 200 x 40, halved to 100 x 20 and rounded to 96 x 32, is no wider than four heights.
    assert_eq!(shape(&outputs, "frame"), [32, 96, 3]);
    assert_eq!(shape(&outputs, "x"), [3, 64, 192]);
    let geometry = outputs.tensor("geometry").unwrap().read::<f32>().unwrap();
    assert_eq!(*geometry, [200.0 / 96.0, 40.0 / 32.0, 0.0, 200.0, 40.0]);
    let wide = png(90, 20, png::ColorType::Grayscale, &[255; 1800]);
    let outputs = run(
        &config.replace("\"side_max\"", "\"side_min\": 1, \"side_max\""),
        &wide,
    );
    // Two bands of 20 rows: 60 = 2 * max(90 / 4, 30).
    assert_eq!(shape(&outputs.unwrap(), "frame"), [60, 90, 3]);
}

#[test]
fn a_raw_line_lies_at_the_left_of_its_area() {
    let config = r#"{
        "source": "raw", "input": "crop", "layout": "nhwc", "scale": 1,
        "turn": {"scores": "way", "count": 2, "index": 1, "above": 0.9},
        "resize": {"to": "height", "height": 1, "width_from": "width"}
    }"#;
    let plugin = Images::init(config, &Assets::none()).unwrap();
    let numbers = |way: [f32; 2]| {
        let example = Example::from_tensors([
            ("crop", Tensor::single_bytes([1, 2, 3, 4, 5, 6]).unwrap()),
            ("size", Tensor::from_slice(&[2], &[1i32, 2]).unwrap()),
            ("width", Tensor::single(3i32).unwrap()),
            ("way", Tensor::from_slice(&[2], &way).unwrap()),
        ]);
        match plugin.preprocess(&example).unwrap() {
            Outcome::Forward(outputs) => outputs.tensor("x").unwrap().to_vec::<f32>().unwrap(),
            Outcome::Answer(_) => Vec::new(),
        }
    };
    assert_eq!(
        numbers([0.9, 0.1]),
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0, 0.0]
    );
    assert_eq!(
        numbers([0.05, 0.95]),
        [4.0, 5.0, 6.0, 1.0, 2.0, 3.0, 0.0, 0.0, 0.0]
    );
}

#[test]
fn flaws_of_the_configuration_are_named() {
    for (config, expected) in [
        (r#"{"pixels_max": 0}"#, "`pixels_max` is 0"),
        (r#"{"std": [1, 0, 1]}"#, "`std` has a number"),
        (r#"{"size_max": 1}"#, "unknown field `size_max`"),
        (
            r#"{"resize": {"to": "height", "height": 4}}"#,
            "either `width` or `width_from`",
        ),
        (
            r#"{"resize": {"to": "size", "width": 0, "height": 4}}"#,
            "leaves no pixel",
        ),
    ] {
        let error = Images::init(config, &Assets::none()).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        format in 0usize..3, rest in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let start: [&[u8]; 3] = [
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0", b"RIFF\x40\0\0\0WEBPVP8 ",
        ];
        let mut file = start[format].to_vec();
        file.extend(rest);
        let _ = decode(&file, 10_000, Alpha::White);
    }
}
