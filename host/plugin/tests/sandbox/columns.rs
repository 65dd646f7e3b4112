//! Examples of equal shapes, which cross together: what their plugin reads is their own,
//! however it asks for it.

use crate::common::*;
use consort_inference::{Call, Example, TenantId, Tensor, Tensors};
use consort_plugin::Plugin;

/// An example whose tensors have so many bytes, and what is to be said of it.
fn example(at: usize, bytes: usize) -> (Example, String) {
    let texts = [vec![at as u8; bytes], vec![1; at % 5]];
    let numbers: Vec<i64> = (0..bytes as i64 / 8 + 2).map(|n| n * at as i64).collect();
    let sizes: Vec<(usize, u64)> = texts
        .iter()
        .map(|text| (text.len(), text.iter().map(|byte| u64::from(*byte)).sum()))
        .collect();
    let said = format!("{sizes:?} {}", numbers.iter().sum::<i64>());
    let tensors = [
        ("texts", Tensor::from_byte_strings(vec![2], texts)),
        ("numbers", Tensor::from_slice(vec![numbers.len()], &numbers)),
    ];
    let tensors = tensors.map(|(name, tensor)| (name.into(), tensor.unwrap()));
    let example = Example {
        tenant: TenantId::default(),
        key: None,
        tensors: Tensors::from_named(tensors).unwrap(),
    };
    (example, said)
}

#[tokio::test]
async fn each_example_reads_its_own_bytes() {
    let world = world();
    for how in ["together", "alone", "cut"] {
        let mut config = config("reads_columns");
        config.config = how.into();
        let plugin = world.load(config).await;
        // The host puts short rows into one place and leaves long ones where they are; the
        // longest go in one by one.
        for bytes in [0, 7, 100, 600, 5_000, 90_000] {
            for count in [1, 2, 40] {
                let (examples, expected): (Vec<_>, Vec<_>) =
                    (0..count).map(|at| example(at, bytes)).unzip();
                let results = plugin.run_postprocess(examples, Call::default()).await;
                let said: Vec<String> = results
                    .into_iter()
                    .map(|result| {
                        let tensors = result.unwrap();
                        let said = tensors.tensor("said").unwrap().byte_strings().unwrap();
                        String::from_utf8(said[0].to_vec()).unwrap()
                    })
                    .collect();
                assert_eq!(said, expected, "{how}, {bytes} bytes");
            }
        }
    }
}

/// What a plugin cuts out of a large tensor goes on alone: nobody counts what it would keep.
#[tokio::test]
async fn a_small_part_does_not_keep_the_whole() {
    let world = world();
    let plugin = world.guest("cuts_rows").await;
    // One after the other, so that each is given to the plugin by itself.
    for (rows, is_copied) in [(1, false), (2, false), (100, true)] {
        let whole = Tensor::from_slice(vec![rows, 2_000], &vec![0.5f32; rows * 2_000]).unwrap();
        let row = first_row(&plugin, whole.clone()).await;
        assert_eq!(row, whole.slice(&[0..1, 0..2_000]).unwrap());
        let inside = whole.data().as_ptr_range().contains(&row.data().as_ptr());
        assert_eq!(inside, !is_copied, "{rows} rows");
    }
}

async fn first_row(plugin: &Plugin, rows: Tensor) -> Tensor {
    let example = Example {
        tenant: TenantId::default(),
        key: None,
        tensors: Tensors::from_named([("rows".into(), rows)]).unwrap(),
    };
    let mut results = plugin.run_postprocess(vec![example], Call::default()).await;
    let mut tensors = results.remove(0).unwrap();
    tensors.take("row").unwrap()
}
