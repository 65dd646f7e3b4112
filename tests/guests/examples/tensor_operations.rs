//! Uses every operation on tensors, with arguments that fit and arguments that do not.

use consort_sdk::{Error, Tensor, TensorError};
use std::ops::Range;

/// Panics, and so traps, where an operation does other than it should.
fn check() -> Result<(), TensorError> {
    let numbers: Vec<i32> = (0..12).collect();
    let tensor = Tensor::from_slice(&[3, 4], &numbers)?;
    assert_eq!(tensor.shape(), [3, 4]);
    assert_eq!(tensor.byte_length(), 48);
    assert_eq!(*tensor.read_range::<i32>(5..7)?, [5, 6]);
    assert_eq!(*tensor.slice(&[1..3, 1..3])?.read::<i32>()?, [5, 6, 9, 10]);
    assert_eq!(tensor.reshape(&[12])?.shape(), [12]);
    let padded = tensor.pad(&[3, 5], -1i32)?;
    assert_eq!(*padded.slice(&[0..1, 3..5])?.read::<i32>()?, [3, -1]);
    assert_eq!(Tensor::stack(&[&tensor, &tensor])?.shape(), [2, 3, 4]);
    let joined = Tensor::concat(&[&tensor, &tensor], 1)?;
    assert_eq!(*joined.slice(&[0..1, 3..5])?.read::<i32>()?, [3, 0]);

    let texts = Tensor::from_byte_strings(&[2], ["a", "bc"])?;
    let texts = texts.pad_bytes(&[3], "-")?;
    assert_eq!(texts.byte_strings()?.texts()?, ["a", "bc", "-"]);

    type Bad = fn(&Tensor) -> Result<Tensor, TensorError>;
    let bad: [(Bad, &str); 7] = [
        (|t| t.reshape(&[13]), "12"),
        (|t| t.slice(&[0..4, 0..1]), "lies outside"),
        (
            |t| t.slice(&[Range { start: 2, end: 1 }, 0..1]),
            "lies outside",
        ),
        (|t| t.pad(&[1, 1], 0i32), "cannot pad"),
        (|t| Tensor::concat(&[t], 2), "axis 2"),
        (|_| Tensor::stack(&[]), "no tensors"),
        (|_| Tensor::from_slice(&[3], &[1f32]), "12 bytes"),
    ];
    for (bad, expected) in bad {
        let message = match bad(&tensor) {
            Err(error) => error.to_string(),
            Ok(made) => format!("{made:?} was made"),
        };
        assert!(message.contains(expected), "{message}");
    }
    assert!(tensor.read_range::<i32>(11..13).is_err());
    Ok(())
}

consort_guests::guest!(consort_guests::nothing, |x| {
    check().map_err(Error::from)?;
    Ok(x)
});
