//! JPEG: greys stay greys, everything else becomes red, green and blue.

use super::{DecodeError, Decoded, Format, Kind};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

/// The longest side that the format can say.
const SIDE_MAX: usize = 65_535;

pub(super) fn decode(bytes: &[u8], pixels_max: u64) -> Result<Decoded, DecodeError> {
    let broken = |error: DecodeErrors| Format::Jpeg.broken(error);
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(SIDE_MAX)
        .set_max_height(SIDE_MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder
        .dimensions()
        .ok_or_else(|| Format::Jpeg.broken("its header says no size"))?;
    Format::Jpeg.admit(width as u64, height as u64, pixels_max)?;
    let data = decoder.decode().map_err(broken)?;
    Ok(Decoded {
        width,
        height,
        data,
        kind: Kind::Rgb,
    })
}
