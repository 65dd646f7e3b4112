//! Polygons: convex hulls, the smallest rectangle around points, and polygons grown at all
//! sides.

/// A pixel: across, then down.
pub(crate) type Point = [i32; 2];

/// A place between pixels.
pub type Place = [f32; 2];

/// The smallest rectangle around something: its corners in order, and its shorter side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rectangle {
    /// The corners, one after the other.
    pub(crate) corners: [Place; 4],
    /// The length of its shorter side.
    pub(crate) side: f32,
}

/// How far, in pixels, a grown polygon's round corners may be from a circle.
const ARC_TOLERANCE: f64 = 0.25;

/// The corners of what the points span, in the direction from the first axis to the second.
/// Points on its sides are none.
pub(crate) fn hull(points: &[Point]) -> Vec<Point> {
    let mut sorted = points.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < 3 {
        return sorted;
    }
    let mut corners = half(sorted.iter());
    let back = half(sorted.iter().rev());
    corners.extend(back);
    corners
}

/// One side of the hull, without its last point.
fn half<'a>(points: impl Iterator<Item = &'a Point>) -> Vec<Point> {
    let mut corners: Vec<Point> = Vec::new();
    for point in points {
        while let [.., before, last] = corners.as_slice()
            && turn(*before, *last, *point) <= 0
        {
            corners.pop();
        }
        corners.push(*point);
    }
    corners.pop();
    corners
}

/// Positive where the way bends from the first axis to the second.
fn turn([ax, ay]: Point, [bx, by]: Point, [cx, cy]: Point) -> i64 {
    let [ax, ay, bx, by, cx, cy] = [ax, ay, bx, by, cx, cy].map(i64::from);
    (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
}

/// The smallest rectangle around points, of any direction; `None` without points.
pub(crate) fn smallest_rectangle(points: &[Point]) -> Option<Rectangle> {
    let corners = hull(points);
    let (first, last) = (corners.first()?, corners.last()?);
    if corners.len() < 3 {
        let corners = [*first, *first, *last, *last].map(place);
        return Some(Rectangle { corners, side: 0.0 });
    }
    let next = corners.iter().skip(1).chain([first]);
    let along = corners
        .iter()
        .zip(next)
        .filter_map(|(from, to)| Along::new(*from, *to, &corners));
    let smallest = along.reduce(|best, next| {
        if next.area() <= best.area() {
            next
        } else {
            best
        }
    })?;
    Some(smallest.rectangle())
}

/// A rectangle one side of which lies along a side of the hull.
#[derive(Debug, Clone, Copy)]
struct Along {
    /// The side's direction, of length one.
    direction: [f64; 2],
    /// From where to where the rectangle reaches in that direction.
    along: (f64, f64),
    /// And in the direction a quarter turn on.
    across: (f64, f64),
}

// === impl Along ===

impl Along {
    fn new(from: Point, to: Point, corners: &[Point]) -> Option<Self> {
        let ([fx, fy], [tx, ty]) = (from.map(f64::from), to.map(f64::from));
        let length = (tx - fx).hypot(ty - fy);
        if length == 0.0 {
            return None;
        }
        let direction = [(tx - fx) / length, (ty - fy) / length];
        let [ux, uy] = direction;
        let range = |u: f64, v: f64| {
            let positions = corners
                .iter()
                .map(|[x, y]| f64::from(*x) * u + f64::from(*y) * v);
            positions.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), one| {
                (least.min(one), most.max(one))
            })
        };
        Some(Self {
            direction,
            along: range(ux, uy),
            across: range(-uy, ux),
        })
    }

    fn area(&self) -> f64 {
        (self.along.1 - self.along.0) * (self.across.1 - self.across.0)
    }

    fn rectangle(&self) -> Rectangle {
        let [ux, uy] = self.direction;
        let corner = |along: f64, across: f64| [along * ux - across * uy, along * uy + across * ux];
        let corners = [
            corner(self.along.0, self.across.0),
            corner(self.along.1, self.across.0),
            corner(self.along.1, self.across.1),
            corner(self.along.0, self.across.1),
        ];
        let side = (self.along.1 - self.along.0).min(self.across.1 - self.across.0);
        Rectangle {
            corners: in_order(corners.map(|corner| corner.map(|one| one as f32))),
            side: side as f32,
        }
    }
}

fn place(point: Point) -> Place {
    point.map(|one| one as f32)
}

/// Corners from the upper left on: of the two at the left the upper one, of the two at the
/// right the upper one, then the lower ones on the way back.
fn in_order(mut corners: [Place; 4]) -> [Place; 4] {
    corners.sort_by(|[a, _], [b, _]| a.total_cmp(b));
    let [first, second, third, fourth] = corners;
    let upper = |one: Place, other: Place| {
        if other[1] > one[1] {
            (one, other)
        } else {
            (other, one)
        }
    };
    let (upper_left, lower_left) = upper(first, second);
    let (upper_right, lower_right) = upper(third, fourth);
    [upper_left, upper_right, lower_right, lower_left]
}

/// The area of a polygon over the length of its sides.
pub(crate) fn area_over_length(corners: &[Place; 4]) -> f64 {
    let places = corners.map(|corner| corner.map(f64::from));
    let next = places.iter().cycle().skip(1);
    let (area, length) =
        places
            .iter()
            .zip(next)
            .fold((0.0, 0.0), |(area, length), ([ax, ay], [bx, by])| {
                (
                    area + (ax * by - bx * ay),
                    length + (bx - ax).hypot(by - ay),
                )
            });
    if length == 0.0 {
        0.0
    } else {
        (area / 2.0).abs() / length
    }
}

/// The points of a polygon grown by a distance at all sides, its corners round, all numbers
/// rounded as Clipper rounds them.
pub(crate) fn grow(corners: &[Place; 4], distance: f64) -> Vec<Point> {
    let mut points: Vec<_> = corners
        .iter()
        .map(|corner| corner.map(|one| one as i32))
        .collect();
    points.dedup();
    if points.len() > 1 && points.first() == points.last() {
        points.pop();
    }
    if points.len() < 3 || distance <= 0.0 {
        return points;
    }
    let area: i64 = points
        .iter()
        .zip(points.iter().cycle().skip(1))
        .map(|([ax, ay], [bx, by])| {
            i64::from(*ax) * i64::from(*by) - i64::from(*bx) * i64::from(*ay)
        })
        .sum();
    if area < 0 {
        points.reverse();
    }
    let tolerance = ARC_TOLERANCE.min(distance * ARC_TOLERANCE);
    let steps = (std::f64::consts::PI / (1.0 - tolerance / distance).acos())
        .min(distance * std::f64::consts::PI);
    let step = std::f64::consts::TAU / steps;
    let mut grown = Vec::new();
    let before = points.iter().cycle().skip(points.len() - 1);
    let after = points.iter().cycle().skip(1);
    for ((point, before), after) in points.iter().zip(before).zip(after) {
        let (from, to) = (normal(*before, *point), normal(*point, *after));
        corner(*point, from, to, distance, step, &mut grown);
    }
    grown
}

/// The direction out of a polygon at one of its sides.
fn normal([ax, ay]: Point, [bx, by]: Point) -> [f64; 2] {
    let (dx, dy) = (f64::from(bx) - f64::from(ax), f64::from(by) - f64::from(ay));
    let length = dx.hypot(dy);
    [dy / length, -dx / length]
}

/// The arc around a corner between the directions of its sides.
fn corner(
    point: Point,
    from: [f64; 2],
    to: [f64; 2],
    distance: f64,
    step: f64,
    grown: &mut Vec<Point>,
) {
    let [x, y] = point.map(f64::from);
    let mut push = |[nx, ny]: [f64; 2]| {
        grown.push([
            (x + nx * distance).round() as i32,
            (y + ny * distance).round() as i32,
        ]);
    };
    let sine = from[0] * to[1] - to[0] * from[1];
    let cosine = from[0] * to[0] + from[1] * to[1];
    if (sine * distance).abs() < 1.0 && cosine > 0.0 {
        push(from);
        return;
    }
    let angle = sine.clamp(-1.0, 1.0).atan2(cosine);
    let count = ((angle.abs() / step).round() as usize).max(1);
    let (sin, cos) = step.sin_cos();
    let mut direction = from;
    for _ in 0..count {
        push(direction);
        let [nx, ny] = direction;
        direction = [nx * cos - sin * ny, nx * sin + ny * cos];
    }
    push(to);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hull_has_no_points_on_its_sides() {
        let points = [[0, 0], [2, 0], [4, 0], [4, 3], [0, 3], [2, 1], [0, 0]];
        assert_eq!(hull(&points), [[0, 0], [4, 0], [4, 3], [0, 3]]);
        assert_eq!(hull(&[[1, 1], [1, 1]]), [[1, 1]]);
        assert_eq!(hull(&[]), Vec::<Point>::new());
    }

    #[test]
    fn an_upright_rectangle_is_itself() {
        let points = [[3, 4], [20, 4], [20, 9], [3, 9]];
        let rectangle = smallest_rectangle(&points).unwrap();
        let corners = [[3.0, 4.0], [20.0, 4.0], [20.0, 9.0], [3.0, 9.0]];
        assert_eq!(rectangle, Rectangle { corners, side: 5.0 });
    }

    #[test]
    fn a_leaning_rectangle_is_smaller_than_the_upright_one() {
        let rectangle = smallest_rectangle(&[[0, 4], [8, 0], [10, 4], [2, 8]]).unwrap();
        assert!((rectangle.side - 20f32.sqrt()).abs() < 1e-5);
        let expected = [[0.0, 4.0], [8.0, 0.0], [10.0, 4.0], [2.0, 8.0]];
        for (corner, expected) in rectangle.corners.iter().zip(expected) {
            assert!((corner[0] - expected[0]).abs() < 1e-4, "{rectangle:?}");
            assert!((corner[1] - expected[1]).abs() < 1e-4, "{rectangle:?}");
        }
    }

    #[test]
    fn points_and_lines_have_no_side() {
        assert_eq!(smallest_rectangle(&[[5, 6]]).unwrap().side, 0.0);
        assert_eq!(
            smallest_rectangle(&[[5, 6], [7, 8], [6, 7]]).unwrap().side,
            0.0
        );
        assert_eq!(smallest_rectangle(&[]), None);
    }

    #[test]
    fn a_polygon_grows_at_all_sides() {
        let corners = [[10.0, 10.0], [50.0, 10.0], [50.0, 20.0], [10.0, 20.0]];
        assert_eq!(area_over_length(&corners), 4.0);
        let grown = smallest_rectangle(&grow(&corners, 6.4)).unwrap();
        assert_eq!(
            grown.corners,
            [[4.0, 4.0], [56.0, 4.0], [56.0, 26.0], [4.0, 26.0]]
        );
    }
}
