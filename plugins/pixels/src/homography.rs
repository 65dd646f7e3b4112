//! A change of perspective: which point of one plane lies where in another.

/// A 3 x 3 matrix that takes points of one plane to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Homography(pub [f64; 9]);

/// The unknowns of a change of perspective; the ninth number is one.
const UNKNOWNS: usize = 8;

/// A linear equation: its coefficients, then its right side.
type Equation = [f64; UNKNOWNS + 1];

// === impl Homography ===

impl Homography {
    /// The change that takes each of four points to the one it is paired with. `None` where
    /// three of them lie on a line.
    pub fn between(pairs: [([f64; 2], [f64; 2]); 4]) -> Option<Self> {
        let mut equations = [[0.0; UNKNOWNS + 1]; UNKNOWNS];
        let (first, second) = equations.split_at_mut(UNKNOWNS / 2);
        for (([x, y], [u, v]), (to_u, to_v)) in pairs.into_iter().zip(first.iter_mut().zip(second))
        {
            *to_u = [x, y, 1.0, 0.0, 0.0, 0.0, -x * u, -y * u, u];
            *to_v = [0.0, 0.0, 0.0, x, y, 1.0, -x * v, -y * v, v];
        }
        let [a, b, c, d, e, f, g, h] = solve(equations)?;
        Some(Self([a, b, c, d, e, f, g, h, 1.0]))
    }

    /// The way back.
    pub fn inverse(&self) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, i] = self.0;
        let determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
        if determinant == 0.0 || !determinant.is_finite() {
            return None;
        }
        let scale = 1.0 / determinant;
        Some(Self(
            [
                e * i - f * h,
                c * h - b * i,
                b * f - c * e,
                f * g - d * i,
                a * i - c * g,
                c * d - a * f,
                d * h - e * g,
                b * g - a * h,
                a * e - b * d,
            ]
            .map(|minor| minor * scale),
        ))
    }
}

/// Gauss's elimination, always by the largest coefficient.
fn solve(mut equations: [Equation; UNKNOWNS]) -> Option<[f64; UNKNOWNS]> {
    for column in 0..UNKNOWNS {
        let size = |equation: &Equation| equation.get(column).map_or(0.0, |one| one.abs());
        let (_, rest) = equations.split_at_mut(column);
        let (best, _) = rest.iter().enumerate().reduce(|best, next| {
            if size(next.1) > size(best.1) {
                next
            } else {
                best
            }
        })?;
        rest.swap(0, best);
        let (pivot, below) = rest.split_first_mut()?;
        let leading = *pivot.get(column)?;
        if leading.abs() < f64::EPSILON {
            return None;
        }
        for equation in below {
            let factor = equation.get(column)? / leading;
            for (left, right) in equation.iter_mut().zip(pivot.iter()).skip(column) {
                *left -= factor * right;
            }
        }
    }
    let mut solution = [0.0; UNKNOWNS];
    for (column, equation) in equations.iter().enumerate().rev() {
        let known = equation.iter().zip(&solution).skip(column + 1);
        let sum: f64 = known.map(|(factor, value)| factor * value).sum();
        *solution.get_mut(column)? = (equation.last()? - sum) / equation.get(column)?;
    }
    Some(solution)
}
