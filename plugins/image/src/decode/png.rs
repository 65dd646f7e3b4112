//! PNG: all colour types, 16 bits cut to 8, palettes looked up.

use super::{DecodeError, Decoded, Format, Kind};
use png::{ColorType, Decoder, Limits, Transformations};
use std::io::Cursor;

/// The most bytes that the decoder keeps beside the image: profiles and texts.
const ASIDE_BYTES_MAX: usize = 16 << 20;

pub(super) fn decode(bytes: &[u8], pixels_max: u64) -> Result<Decoded, DecodeError> {
    let broken = |error: png::DecodingError| Format::Png.broken(error);
    let limits = Limits {
        bytes: ASIDE_BYTES_MAX,
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(broken)?;
    let (width, height) = (header.width, header.height);
    Format::Png.admit(width, height, pixels_max)?;
    let mut reader = decoder.read_info().map_err(broken)?;
    let length = reader
        .output_buffer_size()
        .ok_or_else(|| Format::Png.broken("its pixels are more than memory can hold"))?;
    let mut data = vec![0; length];
    let frame = reader.next_frame(&mut data).map_err(broken)?;
    data.truncate(frame.buffer_size());
    let kind = match frame.color_type {
        ColorType::Grayscale => Kind::Grey,
        ColorType::GrayscaleAlpha => Kind::GreyAlpha,
        ColorType::Rgb => Kind::Rgb,
        ColorType::Rgba => Kind::Rgba,
        ColorType::Indexed => {
            return Err(Format::Png.broken("its palette cannot be looked up"));
        }
    };
    Ok(Decoded {
        width: width as usize,
        height: height as usize,
        data,
        kind,
    })
}
