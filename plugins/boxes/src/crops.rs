//! What lies in a box, seen from the front.

use crate::find::{Quad, distance};
use consort_plugin_pixels::{Homography, Image, ImageError, warp_perspective};

/// From this height, in widths, a crop is text that stands, and is turned by a quarter.
const STANDING: f64 = 1.5;

/// The box's content; `None` where it has no area.
pub fn crop(image: &Image, quad: &Quad) -> Result<Option<Image>, ImageError> {
    let [a, b, c, d] = *quad;
    let width = distance(a, b).max(distance(c, d)) as usize;
    let height = distance(a, d).max(distance(b, c)) as usize;
    if width == 0 || height == 0 {
        return Ok(None);
    }
    let (across, down) = (width as f64, height as f64);
    let from = quad.map(|corner| corner.map(f64::from));
    let [a, b, c, d] = from;
    let back = Homography::between([
        (a, [0.0, 0.0]),
        (b, [across, 0.0]),
        (c, [across, down]),
        (d, [0.0, down]),
    ])
    .and_then(|there| there.inverse());
    let Some(back) = back else {
        return Ok(None);
    };
    let crop = warp_perspective(image, &back, width, height)?;
    if height as f64 / width as f64 >= STANDING {
        return Ok(Some(crop.turn_quarter()));
    }
    Ok(Some(crop))
}

/// How wide the area of each line is when lines are read in groups: as wide as the widest of
/// its group needs, and at least a width. Lines are grouped by their proportions.
pub fn widths(sizes: &[(usize, usize)], height: usize, least: usize, group: usize) -> Vec<usize> {
    let ratios: Vec<_> = sizes
        .iter()
        .map(|(width, height)| *width as f64 / *height as f64)
        .collect();
    let mut order: Vec<_> = ratios.iter().copied().enumerate().collect();
    order.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let mut widths = vec![least; sizes.len()];
    for group in order.chunks(group.max(1)) {
        let least = least as f64 / height as f64;
        let ratio = group.iter().fold(least, |most, (_, one)| most.max(*one));
        for (index, _) in group {
            if let Some(width) = widths.get_mut(*index) {
                *width = (height as f64 * ratio) as usize;
            }
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upright_box_is_cut_out() {
        let data = (0..6 * 5 * 3).map(|level| level as u8).collect();
        let image = Image::new(6, 5, data).unwrap();
        let quad = [[1.0, 1.0], [4.0, 1.0], [4.0, 3.0], [1.0, 3.0]];
        let crop = crop(&image, &quad).unwrap().unwrap();
        assert_eq!((crop.width(), crop.height()), (3, 2));
        assert_eq!(crop.row(0), &image.row(1)[3..12]);
        assert_eq!(crop.row(1), &image.row(2)[3..12]);
    }

    #[test]
    fn standing_text_is_turned() {
        let image = Image::filled(20, 40, 7).unwrap();
        let quad = [[2.0, 2.0], [10.0, 2.0], [10.0, 32.0], [2.0, 32.0]];
        let crop = crop(&image, &quad).unwrap().unwrap();
        assert_eq!((crop.width(), crop.height()), (30, 8));
    }

    #[test]
    fn a_box_without_area_has_no_content() {
        let image = Image::filled(4, 4, 7).unwrap();
        assert_eq!(crop(&image, &[[1.0, 1.0]; 4]).unwrap(), None);
        let line = [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]];
        assert_eq!(crop(&image, &line).unwrap(), None);
    }

    #[test]
    fn a_group_is_as_wide_as_its_widest() {
        let sizes = [(100, 10), (10, 10), (48, 48), (30, 10), (1000, 10)];
        assert_eq!(widths(&sizes, 48, 320, 2), [480, 320, 320, 480, 4800]);
        assert!(widths(&[], 48, 320, 6).is_empty());
    }
}
