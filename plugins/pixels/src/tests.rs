//! Against OpenCV, by the fixtures that `reference/make.py` wrote, and against the rules that
//! hold for any image.

use super::*;
use proptest::prelude::*;

/// What OpenCV makes of the images below.
const FIXTURES: &str = include_str!("../tests/fixtures/opencv.txt");

/// The same levels as in `reference/make.py`.
fn image(width: usize, height: usize) -> Image {
    let mut state = (width * 1000 + height) as u32;
    let levels = (0..width * height * CHANNELS).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let levels = levels.collect();
    Image::new(width, height, levels).unwrap()
}

/// The cases of one kind: their numbers, and the bytes that are expected.
fn cases(kind: &str) -> Vec<(Vec<usize>, Vec<u8>)> {
    let lines = FIXTURES.lines().filter_map(|line| line.strip_prefix(kind));
    let cases: Vec<_> = lines
        .map(|line| {
            let (numbers, bytes) = line.trim().rsplit_once(' ').unwrap();
            let numbers = numbers.split(' ').map(|one| one.parse().unwrap());
            let pairs = bytes.as_bytes().chunks(2);
            let bytes = pairs
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
            (numbers.collect(), bytes.collect())
        })
        .collect();
    assert!(cases.len() > 5, "there are fixtures of {kind}");
    cases
}

/// The largest difference of two levels.
fn difference(image: &Image, expected: &[u8]) -> u8 {
    assert_eq!(image.data().len(), expected.len());
    let pairs = image.data().iter().zip(expected);
    pairs
        .map(|(one, other)| one.abs_diff(*other))
        .max()
        .unwrap()
}

#[test]
fn linear_is_opencvs_to_the_level() {
    for (numbers, expected) in cases("linear ") {
        let [width, height, to_width, to_height] = numbers[..] else {
            panic!("four numbers")
        };
        let resized = resize_linear(&image(width, height), to_width, to_height).unwrap();
        assert_eq!(difference(&resized, &expected), 0, "{numbers:?}");
    }
}

#[test]
fn area_is_opencvs_to_the_level() {
    for (numbers, expected) in cases("area ") {
        let [width, height, to_width, to_height] = numbers[..] else {
            panic!("four numbers")
        };
        let resized = resize_area(&image(width, height), to_width, to_height).unwrap();
        assert_eq!(difference(&resized, &expected), 0, "{numbers:?}");
    }
}

#[test]
fn perspective_is_opencvs_to_the_level() {
    for (numbers, expected) in cases("perspective ") {
        let [width, height, to_width, to_height, corners @ ..] = &numbers[..] else {
            panic!("a size and corners")
        };
        let (across, down) = (*to_width as f64, *to_height as f64);
        let targets = [[0.0, 0.0], [across, 0.0], [across, down], [0.0, down]];
        let pairs: Vec<_> = corners
            .chunks(2)
            .zip(targets)
            .map(|(corner, target)| ([corner[0] as f64, corner[1] as f64], target))
            .collect();
        let there = Homography::between(pairs.try_into().unwrap()).unwrap();
        let back = there.inverse().unwrap();
        let image = image(*width, *height);
        let crop = warp_perspective(&image, &back, *to_width, *to_height).unwrap();
        assert_eq!(difference(&crop, &expected), 0, "{numbers:?}");
    }
}

#[test]
fn turns() {
    let image = Image::new(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
    assert_eq!(image.turn_half().data(), [4, 5, 6, 1, 2, 3]);
    let quarter = image.turn_quarter();
    assert_eq!((quarter.width(), quarter.height()), (1, 2));
    assert_eq!(quarter.data(), [4, 5, 6, 1, 2, 3]);
    assert_eq!(image.swap_channels().data(), [3, 2, 1, 6, 5, 4]);
}

#[test]
fn bands_lie_above_and_below() {
    let image = Image::filled(1, 1, 9).unwrap().with_bands(1, 0).unwrap();
    assert_eq!(image.data(), [0, 0, 0, 9, 9, 9, 0, 0, 0]);
}

#[test]
fn layouts() {
    let image = Image::new(2, 1, vec![0, 1, 2, 3, 4, 5]).unwrap();
    let normalise = Normalise::new(1.0, [0.0; 3], [1.0; 3]);
    let planes = normalise.apply(&image, Layout::Nchw, 3, 1);
    assert_eq!(planes, [0.0, 3.0, 0.0, 1.0, 4.0, 0.0, 2.0, 5.0, 0.0]);
    let pixels = normalise.apply(&image, Layout::Nhwc, 2, 1);
    assert_eq!(pixels, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let scaled = Normalise::new(1.0 / 255.0, [0.5; 3], [0.5; 3]);
    let white = Image::filled(1, 1, 255).unwrap();
    assert_eq!(scaled.apply(&white, Layout::Nchw, 1, 1), [1.0; 3]);
}

#[test]
fn no_image_is_an_error() {
    assert_eq!(
        Image::new(2, 2, vec![0; 11]).unwrap_err().to_string(),
        "11 bytes are no image of 2 x 2 pixels, which takes 3 bytes a pixel"
    );
    assert_eq!(
        Image::new(0, 5, Vec::new()).unwrap_err().to_string(),
        "an image of 0 x 5 pixels has none"
    );
    let image = image(4, 4);
    assert!(resize_linear(&image, 0, 4).is_err());
    assert!(resize_area(&image, 4, 0).is_err());
}

#[test]
fn points_on_a_line_have_no_perspective() {
    let pair = |x: f64| ([x, x], [x, 0.0]);
    assert_eq!(
        Homography::between([pair(0.0), pair(1.0), pair(2.0), pair(3.0)]),
        None
    );
}

proptest! {
    #[test]
    fn one_level_stays_that_level(
        level: u8, from in (1usize..40, 1usize..40), to in (1usize..40, 1usize..40),
    ) {
        let image = Image::filled(from.0, from.1, level).unwrap();
        for resized in [
            resize_linear(&image, to.0, to.1).unwrap(),
            resize_area(&image, to.0, to.1).unwrap(),
        ] {
            prop_assert!(resized.data().iter().all(|other| other.abs_diff(level) <= 1));
            prop_assert_eq!((resized.width(), resized.height()), to);
        }
    }

    #[test]
    fn a_perspective_goes_there_and_back(
        shift in (-50.0..50.0f64, -50.0..50.0f64), lean in -5.0..5.0f64,
    ) {
        let pairs = [
            ([0.0, 0.0], [shift.0, shift.1]),
            ([30.0, lean], [100.0, 0.0]),
            ([30.0, 20.0 + lean], [100.0, 80.0]),
            ([0.0, 20.0], [0.0, 80.0 + lean]),
        ];
        if let Some(there) = Homography::between(pairs) {
            for ([x, y], [u, v]) in pairs {
                let [a, b, c, d, e, f, g, h, i] = there.0;
                let depth = g * x + h * y + i;
                prop_assert!(((a * x + b * y + c) / depth - u).abs() < 1e-6);
                prop_assert!(((d * x + e * y + f) / depth - v).abs() < 1e-6);
            }
        }
    }
}
