//! A page as a picture of what was read on it: an SVG with the page and a box around each line
//! at the left, and each line's text in its place at the right.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use consort_sdk::{
    ANY, Assets, Datatype, Error, Example, Outputs, Plugin, Postprocess, Signature, Tensor,
};
use std::fmt::Write;

/// Numbers of a box: two for each corner, from the upper left one on.
const BOX: usize = 8;

/// The plugin.
#[derive(Debug)]
pub struct Annotate;

consort_sdk::export!(Annotate: postprocess);

// === impl Annotate ===

impl Plugin for Annotate {
    fn init(_config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl Postprocess for Annotate {
    fn describe(&self) -> Signature {
        Signature::new()
            .input("image", Datatype::Bytes, [1])
            .input("page", Datatype::Int32, [2])
            .input("text", Datatype::Bytes, [ANY])
            .input("score", Datatype::Fp32, [ANY])
            .input("box", Datatype::Fp32, [ANY, 4.into(), 2.into()])
            .output("annotated", Datatype::Bytes, [1])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let image = example.byte_string("image")?;
        let page = example.read::<i32>("page")?;
        let [height, width] = *page else {
            return Err(Error::invalid_input("`page` is a height and a width"));
        };
        let texts = example.byte_strings("text")?;
        let scores = example.read::<f32>("score")?;
        let boxes = example.read::<f32>("box")?;
        let (boxes, _) = boxes.as_chunks::<BOX>();
        let mut lines = Vec::with_capacity(texts.len());
        for ((text, score), corners) in texts.iter().zip(scores.iter()).zip(boxes) {
            let text = String::from_utf8_lossy(text).into_owned();
            lines.push((text, *score, *corners));
        }
        let drawn = draw(&image, (width, height), &lines);
        Ok(Outputs::from([("annotated", Tensor::single_bytes(drawn)?)]))
    }
}

/// A line: its text, how sure it is, its corners.
type Line = (String, f32, [f32; BOX]);

fn draw(image: &[u8], (width, height): (i32, i32), lines: &[Line]) -> String {
    let mut out = String::with_capacity(image.len() * 4 / 3 + 1024);
    // Writing to a String cannot fail.
    let _ = write(&mut out, image, (width, height), lines);
    out
}

fn write(
    out: &mut String,
    image: &[u8],
    (width, height): (i32, i32),
    lines: &[Line],
) -> std::fmt::Result {
    let whole = width.saturating_mul(2);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{whole}\" height=\"{height}\" \
         viewBox=\"0 0 {whole} {height}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    )?;
    write!(
        out,
        "<image width=\"{width}\" height=\"{height}\" href=\"data:{};base64,",
        kind(image)
    )?;
    STANDARD.encode_string(image, out);
    out.push_str("\"/>\n");
    for (text, score, corners) in lines {
        let points: Vec<String> = corners
            .chunks(2)
            .map(|corner| match corner {
                [x, y] => format!("{x:.0},{y:.0}"),
                _ => String::new(),
            })
            .collect();
        let points = points.join(" ");
        let [left, top, right, up, .., low_x, low_y] = *corners;
        let long = (right - left).hypot(up - top).max(1.0);
        let high = (low_x - left).hypot(low_y - top).max(1.0);
        let angle = (up - top).atan2(right - left).to_degrees();
        writeln!(
            out,
            "<g><title>{} ({score:.3})</title>\
             <polygon points=\"{points}\" fill=\"#e8590c\" fill-opacity=\"0.12\" \
             stroke=\"#e8590c\" stroke-width=\"1.5\"/>\
             <text transform=\"translate({:.1} {top:.1}) rotate({angle:.1})\" y=\"{:.1}\" \
             font-family=\"sans-serif\" font-size=\"{:.1}\" textLength=\"{long:.1}\" \
             lengthAdjust=\"spacingAndGlyphs\">{}</text></g>",
            escaped(text),
            left + width as f32,
            high * 0.8,
            high * 0.8,
            escaped(text)
        )?;
    }
    writeln!(out, "</svg>")
}

/// The media type of a file, by how it begins.
fn kind(image: &[u8]) -> &'static str {
    match image {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, ..] => "image/jpeg",
        _ => "image/webp",
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_outlined_and_written_in_its_place() {
        let corners = [10.0, 20.0, 110.0, 20.0, 110.0, 40.0, 10.0, 40.0];
        let lines = [("a < b".to_owned(), 0.75, corners)];
        let drawn = draw(b"\x89PNG and so on", (200, 100), &lines);
        assert!(drawn.contains("viewBox=\"0 0 400 100\""), "{drawn}");
        assert!(drawn.contains("data:image/png;base64,iVBORyBhbmQgc28gb24="));
        assert!(
            drawn.contains("points=\"10,20 110,20 110,40 10,40\""),
            "{drawn}"
        );
        assert!(
            drawn.contains("translate(210.0 20.0) rotate(0.0)"),
            "{drawn}"
        );
        assert!(drawn.contains("a &lt; b (0.750)"), "{drawn}");
    }

    #[test]
    fn lines_that_lean_are_written_leaning() {
        let corners = [0.0, 100.0, 100.0, 0.0, 110.0, 10.0, 10.0, 110.0];
        let drawn = draw(b"\xff\xd8", (200, 200), &[("x".to_owned(), 1.0, corners)]);
        assert!(drawn.contains("rotate(-45.0)"), "{drawn}");
        assert!(drawn.contains("data:image/jpeg"), "{drawn}");
    }
}
