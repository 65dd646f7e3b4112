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
    let mut kept: Vec<usize> = Vec::new();
    let mut groups: Vec<Group> = Vec::new();
    for (index, corners, _) in order {
        if kept.len() >= boxes_max {
            break;
        }
        if groups
            .iter()
            .any(|group| group.cover(&corners, overlap_max))
        {
            continue;
        }
        let lane = kept.len() % LANES;
        if lane == 0 {
            groups.push(Group::default());
        }
        if let Some(group) = groups.last_mut() {
            group.put(lane, corners);
        }
        kept.push(index);
    }
    kept
}

/// How many boxes are compared side by side: as many as a vector of 128 bits holds. One by one,
/// each choice of the larger number would be a jump in WebAssembly.
const LANES: usize = 4;

/// Some of the boxes that stay; where there is none, one without an area.
#[derive(Default)]
struct Group {
    left: [f32; LANES],
    top: [f32; LANES],
    right: [f32; LANES],
    bottom: [f32; LANES],
    area: [f32; LANES],
}

impl Group {
    fn put(&mut self, lane: usize, corners: Upright) {
        let [left, top, right, bottom] = corners;
        for (lanes, number) in [
            (&mut self.left, left),
            (&mut self.top, top),
            (&mut self.right, right),
            (&mut self.bottom, bottom),
            (&mut self.area, area(left, top, right, bottom)),
        ] {
            if let Some(place) = lanes.get_mut(lane) {
                *place = number;
            }
        }
    }

    /// Whether one of them has more in common with a box than it may.
    fn cover(&self, corners: &Upright, overlap_max: f32) -> bool {
        let &[left, top, right, bottom] = corners;
        let own = area(left, top, right, bottom);
        let starts = self.left.iter().zip(&self.top);
        let ends = self.right.iter().zip(&self.bottom);
        let boxes = starts.zip(ends).zip(&self.area);
        boxes.fold(false, |covers, (((l, t), (r, b)), area_of_it)| {
            let both = area(
                larger(*l, left),
                larger(*t, top),
                smaller(*r, right),
                smaller(*b, bottom),
            );
            let together = own + area_of_it - both;
            covers | ((together > 0.0) & (both / together > overlap_max))
        })
    }
}

fn area(left: f32, top: f32, right: f32, bottom: f32) -> f32 {
    larger(right - left, 0.0) * larger(bottom - top, 0.0)
}

/// As `f32::max` but for what is not a number: that one has no instruction in WebAssembly.
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
    fn boxes_side_by_side_are_as_boxes_one_by_one() {
        let mut state = 7u32;
        let mut next = move |bound: f32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0 * bound
        };
        let boxes: Vec<Upright> = (0..300)
            .map(|_| {
                let (left, top) = (next(100.0), next(100.0));
                [left, top, left + next(30.0) - 1.0, top + next(30.0) - 1.0]
            })
            .collect();
        let scores: Vec<f32> = boxes.iter().map(|_| next(1.0)).collect();
        let mut order: Vec<usize> = (0..boxes.len()).collect();
        order.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]));
        for most in [0.0, 0.2, 0.5, 1.0] {
            let mut kept: Vec<usize> = Vec::new();
            for index in &order {
                let share = |other: &usize| {
                    let ([l, t, r, b], [x, y, u, v]) = (boxes[*index], boxes[*other]);
                    let area = |w: f32, h: f32| w.max(0.0) * h.max(0.0);
                    let both = area(r.min(u) - l.max(x), b.min(v) - t.max(y));
                    let together = area(r - l, b - t) + area(u - x, v - y) - both;
                    if together > 0.0 { both / together } else { 0.0 }
                };
                if kept.iter().all(|other| share(other) <= most) {
                    kept.push(*index);
                }
            }
            assert_eq!(suppress(&boxes, &scores, 0.0, most, 300), kept);
        }
    }

    #[test]
    fn no_more_stay_than_are_wanted() {
        assert_eq!(suppress(&BOXES, &[0.6, 0.9, 0.5, 0.1], 0.0, 0.5, 1), [1]);
        assert!(suppress(&[], &[], 0.0, 0.5, 1).is_empty());
    }
}
