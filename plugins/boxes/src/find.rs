//! From a map of scores to boxes around text: the post-processing of Differentiable
//! Binarization as PP-OCR has it.

use crate::config::Regions;
use crate::geometry::{Place, Rectangle, area_over_length, grow, smallest_rectangle};
use crate::mask::Mask;
use crate::regions::contours;
use crate::score;

/// How much longer a grown box's sides must be than a region's.
const GROWTH_MIN: f32 = 2.0;

/// Two boxes whose upper left corners are closer than this, in rows, are in one line.
const LINE_ROWS: f32 = 10.0;

/// A box: its corners from the upper left one on, in the direction of the clock.
pub type Quad = [Place; 4];

/// A map of scores, and the size of what it is a map of.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a> {
    /// The scores, in rows.
    pub scores: &'a [f32],
    /// Scores in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The width and the height of the image.
    pub image: (usize, usize),
}

/// The boxes in a map, in whole pixels of the image: from the top, those of a line from the
/// left.
pub fn boxes(map: Map<'_>, config: &Regions) -> Vec<Quad> {
    let mask = Mask::above(map.scores, map.width, config.threshold);
    let mask = if config.dilate { mask.dilate() } else { mask };
    let found = contours(&mask)
        .into_iter()
        .take(config.candidates_max)
        .filter_map(|points| smallest_rectangle(&points))
        .filter_map(|rectangle| grown(rectangle, map, config))
        .map(|corners| clipped(clockwise(corners), map.image))
        .filter(|[a, b, _, d]| {
            let is_long = |to: &Place| distance(*a, *to).trunc() > config.side_min;
            is_long(b) && is_long(d)
        });
    in_reading_order(found.collect())
}

/// A region's box in the image, if it is text and large enough.
fn grown(rectangle: Rectangle, map: Map<'_>, config: &Regions) -> Option<Quad> {
    if rectangle.side < config.side_min {
        return None;
    }
    let score = score::mean(map.scores, map.width, &rectangle.corners);
    if score < config.box_threshold {
        return None;
    }
    let distance = area_over_length(&rectangle.corners) * config.unclip_ratio;
    let grown = smallest_rectangle(&grow(&rectangle.corners, distance))?;
    if grown.side < config.side_min + GROWTH_MIN {
        return None;
    }
    let scaled = |value: f32, from: usize, to: usize| {
        let value = value / from as f32 * to as f32;
        value.round_ties_even().clamp(0.0, to as f32)
    };
    Some(grown.corners.map(|[x, y]| {
        [
            scaled(x, map.width, map.image.0),
            scaled(y, map.height, map.image.1),
        ]
    }))
}

/// From the upper left corner on, in the direction of the clock: the two leftmost corners are
/// the left ones.
fn clockwise(mut corners: Quad) -> Quad {
    corners.sort_by(|one, other| one[0].total_cmp(&other[0]));
    let [first, second, third, fourth] = corners;
    let sorted = |one: Place, other: Place| {
        if other[1] < one[1] {
            (other, one)
        } else {
            (one, other)
        }
    };
    let (upper_left, lower_left) = sorted(first, second);
    let (upper_right, lower_right) = sorted(third, fourth);
    [upper_left, upper_right, lower_right, lower_left]
}

fn clipped(quad: Quad, (width, height): (usize, usize)) -> Quad {
    let clip = |value: f32, length: usize| value.clamp(0.0, (length.max(1) - 1) as f32);
    quad.map(|[x, y]| [clip(x, width), clip(y, height)])
}

/// The distance of two places.
pub(crate) fn distance([ax, ay]: Place, [bx, by]: Place) -> f32 {
    let (dx, dy) = (ax - bx, ay - by);
    (dx * dx + dy * dy).sqrt()
}

/// From the top; boxes of one line from the left.
fn in_reading_order(mut quads: Vec<Quad>) -> Vec<Quad> {
    quads.sort_by(|[one, ..], [other, ..]| {
        one[1]
            .total_cmp(&other[1])
            .then(one[0].total_cmp(&other[0]))
    });
    for end in 1..quads.len() {
        for at in (1..=end).rev() {
            let Some([one, other]) = quads.get(at - 1..=at) else {
                break;
            };
            let (before, next) = (one[0], other[0]);
            if (next[1] - before[1]).abs() < LINE_ROWS && next[0] < before[0] {
                quads.swap(at - 1, at);
            } else {
                break;
            }
        }
    }
    quads
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quad(x: f32, y: f32) -> Quad {
        [[x, y], [x + 9.0, y], [x + 9.0, y + 5.0], [x, y + 5.0]]
    }

    #[test]
    fn boxes_are_read_line_by_line() {
        let quads = vec![
            quad(50.0, 40.0),
            quad(60.0, 3.0),
            quad(5.0, 9.0),
            quad(30.0, 5.0),
        ];
        let order: Vec<_> = in_reading_order(quads).iter().map(|quad| quad[0]).collect();
        assert_eq!(order, [[5.0, 9.0], [30.0, 5.0], [60.0, 3.0], [50.0, 40.0]]);
    }

    #[test]
    fn corners_go_with_the_clock_from_the_upper_left() {
        let [a, b, c, d] = quad(3.0, 4.0);
        assert_eq!(clockwise([c, a, d, b]), [a, b, c, d]);
    }

    #[test]
    fn a_block_of_text_is_found_where_it_is() {
        let (width, height) = (100, 60);
        let mut scores = vec![0.0; width * height];
        for row in scores.chunks_exact_mut(width).skip(20).take(10) {
            row[30..70].fill(0.9);
        }
        let map = Map {
            scores: &scores,
            width,
            height,
            image: (200, 120),
        };
        let found = boxes(map, &Regions::default());
        assert_eq!(found.len(), 1);
        let [[left, top], _, [right, bottom], _] = found[0];
        // The block, grown by area * 1.6 / length: about 6 pixels of the map.
        assert!(
            (44.0..=50.0).contains(&left) && (24.0..=30.0).contains(&top),
            "{found:?}"
        );
        assert!((150.0..=156.0).contains(&right) && (70.0..=76.0).contains(&bottom));
        let strict = Regions {
            box_threshold: 0.95,
            ..Regions::default()
        };
        assert!(boxes(map, &strict).is_empty());
    }

    #[test]
    fn an_empty_map_has_no_boxes() {
        let map = Map {
            scores: &[0.0; 64],
            width: 8,
            height: 8,
            image: (8, 8),
        };
        assert!(boxes(map, &Regions::default()).is_empty());
    }
}
