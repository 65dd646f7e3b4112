//! WebP: lossy and lossless, of an animation the first picture.

use super::{DecodeError, Decoded, Format, Kind};
use image_webp::{DecodingError, WebPDecoder};
use std::io::Cursor;

pub(super) fn decode(bytes: &[u8], pixels_max: u64) -> Result<Decoded, DecodeError> {
    let broken = |error: DecodingError| Format::WebP.broken(error);
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(broken)?;
    let (width, height) = decoder.dimensions();
    Format::WebP.admit(width, height, pixels_max)?;
    let length = decoder
        .output_buffer_size()
        .ok_or_else(|| Format::WebP.broken("its pixels are more than memory can hold"))?;
    // What the decoder keeps beside the image: as much again is plenty.
    decoder.set_memory_limit(length.saturating_mul(4).max(1 << 20));
    let mut data = vec![0; length];
    decoder.read_image(&mut data).map_err(broken)?;
    let kind = if decoder.has_alpha() {
        Kind::Rgba
    } else {
        Kind::Rgb
    };
    Ok(Decoded {
        width: width as usize,
        height: height as usize,
        data,
        kind,
    })
}
