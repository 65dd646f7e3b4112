//! How sure a map is of a box: the mean of the pixels in it.

use crate::geometry::Place;

/// The mean of a map inside a box, its border included, whose corners lose their parts of a
/// pixel.
pub(crate) fn mean(map: &[f32], width: usize, corners: &[Place; 4]) -> f64 {
    let height = map.len() / width.max(1);
    if width == 0 || height == 0 {
        return 0.0;
    }
    let least = |axis: usize| {
        let values = corners.iter().filter_map(|corner| corner.get(axis));
        values
            .fold(f32::INFINITY, |least, one| least.min(*one))
            .floor()
    };
    let most = |axis: usize| {
        let values = corners.iter().filter_map(|corner| corner.get(axis));
        values
            .fold(f32::NEG_INFINITY, |most, one| most.max(*one))
            .ceil()
    };
    let clip = |value: f32, length: usize| (value.max(0.0) as usize).min(length - 1);
    let (left, right) = (clip(least(0), width), clip(most(0), width));
    let (top, bottom) = (clip(least(1), height), clip(most(1), height));
    let corners = corners.map(|[x, y]| [(x - left as f32) as i32, (y - top as f32) as i32]);
    let spans = spans(&corners, right - left, bottom - top);
    let rows = map.chunks_exact(width).skip(top);
    let (sum, count) = rows
        .zip(&spans)
        .filter(|(_, (begin, last))| begin <= last)
        .fold((0.0f64, 0usize), |(sum, count), (row, (begin, last))| {
            let inside = row.get(left + begin..=left + last).unwrap_or_default();
            let part: f64 = inside.iter().map(|score| f64::from(*score)).sum();
            (sum + part, count + inside.len())
        });
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// For each row the first and the last pixel of a convex polygon: its inside and the lines of
/// its border. Where a row has none, the last is before the first.
fn spans(corners: &[[i32; 2]; 4], right: usize, bottom: usize) -> Vec<(usize, usize)> {
    let mut spans = vec![(usize::MAX, 0usize); bottom + 1];
    let mut set = |x: i32, y: i32| {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        if let Some((begin, last)) = spans.get_mut(y)
            && x <= right
        {
            *begin = (*begin).min(x);
            *last = (*last).max(x);
        }
    };
    for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
        line(*from, *to, &mut set);
    }
    spans
}

/// The pixels of a line by Bresenham's rule, from its left end.
fn line(from: [i32; 2], to: [i32; 2], set: &mut impl FnMut(i32, i32)) {
    let (from, to) = if from[0] <= to[0] {
        (from, to)
    } else {
        (to, from)
    };
    let ([mut x, mut y], [to_x, to_y]) = (from, to);
    let (across, down) = (to_x - x, (to_y - y).abs());
    let step = (to_y - y).signum();
    let (long, short, steep) = if down > across {
        (down, across, true)
    } else {
        (across, down, false)
    };
    let mut error = long - 2 * short;
    for _ in 0..=long {
        set(x, y);
        let aside = error < 0;
        error += if aside {
            2 * long - 2 * short
        } else {
            -2 * short
        };
        if steep {
            y += step;
            x += i32::from(aside);
        } else {
            x += 1;
            y += if aside { step } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_border_counts() {
        let map = [
            0.0, 0.0, 0.0, 0.0, //
            0.0, 1.0, 1.0, 0.0, //
            0.0, 1.0, 0.5, 0.0, //
            0.0, 0.0, 0.0, 0.0,
        ];
        let corners = [[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]];
        assert_eq!(mean(&map, 4, &corners), 0.875);
    }

    #[test]
    fn parts_of_a_pixel_are_dropped_and_nothing_is_outside() {
        let map = [1.0, 0.0, 0.0, 0.0];
        let corners = [[-0.5, -0.9], [0.9, -0.5], [0.9, 0.9], [-0.5, 0.9]];
        assert_eq!(mean(&map, 2, &corners), 1.0);
    }

    #[test]
    fn lines_reach_their_ends() {
        for to in [[5, 2], [2, 5], [-4, 3], [0, -7], [0, 0]] {
            let mut points = Vec::new();
            line([0, 0], to, &mut |x, y| points.push([x, y]));
            assert!(points.contains(&[0, 0]) && points.contains(&to), "{to:?}");
            let longest = to[0].abs().max(to[1].abs()) as usize;
            assert_eq!(points.len(), longest + 1);
        }
    }
}
