//! Regions of a mask: pixels that touch one another at sides or corners, and the holes in
//! them. A contour's points matter only for what they span, so that a region is the ends of
//! its runs, and a hole is the pixels around it.

use crate::geometry::Point;
use crate::mask::{Mask, Run};

/// The points that a contour spans.
pub(crate) type Points = Vec<Point>;

/// The contours of all regions and holes, in the order in which OpenCV lists them: the one
/// that begins furthest down first.
pub(crate) fn contours(mask: &Mask) -> Vec<Points> {
    let runs = mask.runs();
    let mut sets = Sets::new(runs.len());
    join_rows(&runs, &mut sets);
    // A set's contour lies where the set is first seen: runs come from the top.
    let mut slots = vec![usize::MAX; runs.len()];
    let mut contours: Vec<(Points, bool)> = Vec::new();
    let (width, height) = (mask.width() as i32, mask.height() as i32);
    for (index, run) in runs.iter().enumerate() {
        let Some(slot) = slots.get_mut(sets.root(index)) else {
            continue;
        };
        if *slot == usize::MAX {
            *slot = contours.len();
            contours.push((Vec::new(), true));
        }
        let Some((points, closed)) = contours.get_mut(*slot) else {
            continue;
        };
        let Run {
            y,
            begin,
            last,
            set,
        } = *run;
        if set {
            points.extend([[begin, y], [last, y]]);
        } else if begin == 0 || last == width - 1 || y == 0 || y == height - 1 {
            // It is open to the outside: no hole.
            *closed = false;
            points.clear();
        } else if *closed {
            points.extend([[begin - 1, y], [last + 1, y]]);
            points.extend([[begin, y - 1], [last, y - 1], [begin, y + 1], [last, y + 1]]);
        }
    }
    let closed = contours.into_iter().filter(|(_, closed)| *closed);
    let mut contours: Vec<_> = closed.map(|(points, _)| points).collect();
    contours.reverse();
    contours
}

/// Joins runs of neighbouring rows: set ones that touch even at a corner, others only at a
/// side.
fn join_rows(runs: &[Run], sets: &mut Sets) {
    let mut rows = Vec::new();
    let mut begin = 0;
    for row in runs.chunk_by(|one, next| one.y == next.y) {
        rows.push((begin, row));
        begin += row.len();
    }
    for pair in rows.windows(2) {
        let [(upper_begin, upper), (lower_begin, lower)] = pair else {
            continue;
        };
        let mut at = 0;
        for (index, run) in lower.iter().enumerate() {
            let reach = i32::from(run.set);
            // Runs above that end before this one and its neighbour begin are done with.
            while upper
                .get(at)
                .is_some_and(|above| above.last + 1 < run.begin)
            {
                at += 1;
            }
            for (offset, above) in upper.iter().enumerate().skip(at) {
                if above.begin > run.last + 1 {
                    break;
                }
                let touches = above.last + reach >= run.begin && above.begin <= run.last + reach;
                if above.set == run.set && touches {
                    sets.join(upper_begin + offset, lower_begin + index);
                }
            }
        }
    }
}

/// Disjoint sets of runs.
struct Sets(Vec<usize>);

// === impl Sets ===

impl Sets {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// What stands for a run's set.
    fn root(&mut self, mut index: usize) -> usize {
        while let Some(parent) = self.0.get(index).copied()
            && parent != index
        {
            let grandparent = self.0.get(parent).copied().unwrap_or(parent);
            if let Some(slot) = self.0.get_mut(index) {
                *slot = grandparent;
            }
            index = grandparent;
        }
        index
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        // The older one stands for both, so that no path grows long.
        if let Some(slot) = self.0.get_mut(one.max(other)) {
            *slot = one.min(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::hull;

    fn mask(rows: &[&str]) -> Mask {
        let width = rows[0].len();
        let map: Vec<_> = rows
            .iter()
            .flat_map(|row| row.bytes().map(|byte| f32::from(u8::from(byte == b'#'))))
            .collect();
        Mask::above(&map, width, 0.5)
    }

    fn corners(rows: &[&str]) -> Vec<Vec<Point>> {
        let mut hulls: Vec<_> = contours(&mask(rows))
            .iter()
            .map(|points| {
                let mut corners = hull(points);
                corners.sort_unstable();
                corners
            })
            .collect();
        hulls.reverse();
        hulls
    }

    #[test]
    fn pixels_that_meet_at_a_corner_are_one_region() {
        assert_eq!(
            corners(&["#...", ".#..", "...#"]),
            [vec![[0, 0], [1, 1]], vec![[3, 2]]]
        );
        assert_eq!(corners(&["..#", ".#.", "#.."]), [vec![[0, 2], [2, 0]]]);
    }

    #[test]
    fn a_hole_is_the_pixels_around_it() {
        let found = corners(&["#####", "#...#", "#.#.#", "#...#", "#####"]);
        assert_eq!(found.len(), 3, "the ring, its hole, and the pixel in it");
        assert_eq!(found[0], [[0, 0], [0, 4], [4, 0], [4, 4]]);
        let around = [
            [0, 1],
            [0, 3],
            [1, 0],
            [1, 4],
            [3, 0],
            [3, 4],
            [4, 1],
            [4, 3],
        ];
        assert_eq!(found[1], around);
        assert_eq!(found[2], [[2, 2]]);
    }

    #[test]
    fn what_is_open_is_no_hole() {
        assert_eq!(corners(&["###", "#..", "###"]).len(), 1);
        assert_eq!(corners(&["...", "..."]).len(), 0);
        // The inside leaks at no corner: sides only.
        assert_eq!(corners(&[".#.", "#.#", ".#."]).len(), 2);
    }

    #[test]
    fn the_lowest_is_listed_first() {
        let found = contours(&mask(&["##..", "....", "..##"]));
        assert_eq!(found, [vec![[2, 2], [3, 2]], vec![[0, 0], [1, 0]]]);
    }
}
