//! Non-maximum suppression: of boxes that cover one another the surest stays.

/// A box: left, top, right, bottom.
pub type Upright = [f32; 4];

/// The boxes that stay, the surest first: each that is at least as sure as a threshold and
/// covers none of those before it by more than a share of what both cover together.
pub fn suppress(
    boxes: &[Upright],
    scores: &[f32],
    score_threshold: f32,
    overlap_max: f32,
    boxes_max: usize,
) -> Vec<usize> {
    let mut order: Vec<_> = boxes
        .iter()
        .zip(scores)
        .enumerate()
        .filter(|(_, (_, score))| **score >= score_threshold)
        .map(|(index, (corners, score))| (index, *corners, *score))
        .collect();
    order.sort_by(|(_, _, one), (_, _, other)| other.total_cmp(one));
    let mut kept: Vec<(usize, Upright)> = Vec::new();
    for (index, corners, _) in order {
        if kept.len() >= boxes_max {
            break;
        }
        if kept
            .iter()
            .all(|(_, other)| overlap(&corners, other) <= overlap_max)
        {
            kept.push((index, corners));
        }
    }
    kept.into_iter().map(|(index, _)| index).collect()
}

/// What both cover, of what they cover together.
fn overlap(one: &Upright, other: &Upright) -> f32 {
    let [left, top] = [larger(one[0], other[0]), larger(one[1], other[1])];
    let [right, bottom] = [smaller(one[2], other[2]), smaller(one[3], other[3])];
    let both = area(&[left, top, right, bottom]);
    let together = area(one) + area(other) - both;
    if together > 0.0 { both / together } else { 0.0 }
}

fn area([left, top, right, bottom]: &Upright) -> f32 {
    larger(right - left, 0.0) * larger(bottom - top, 0.0)
}

/// As `f32::max`, which has no instruction in WebAssembly and is a call there.
fn larger(one: f32, other: f32) -> f32 {
    if one > other { one } else { other }
}

/// As `f32::min`.
fn smaller(one: f32, other: f32) -> f32 {
    if one < other { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOXES: [Upright; 4] = [
        [0.0, 0.0, 10.0, 10.0],
        [1.0, 1.0, 11.0, 11.0],
        [20.0, 20.0, 30.0, 30.0],
        [0.0, 0.0, 0.0, 0.0],
    ];

    #[test]
    fn the_surest_of_two_that_cover_one_another_stays() {
        let scores = [0.6, 0.9, 0.5, 0.1];
        assert_eq!(suppress(&BOXES, &scores, 0.2, 0.5, 10), [1, 2]);
        // 81 of 119 pixels are in both.
        assert_eq!(suppress(&BOXES, &scores, 0.2, 0.7, 10), [1, 0, 2]);
        assert_eq!(suppress(&BOXES, &scores, 0.0, 0.5, 10), [1, 2, 3]);
    }

    #[test]
    fn no_more_stay_than_are_wanted() {
        assert_eq!(suppress(&BOXES, &[0.6, 0.9, 0.5, 0.1], 0.0, 0.5, 1), [1]);
        assert!(suppress(&[], &[], 0.0, 0.5, 1).is_empty());
    }
}
