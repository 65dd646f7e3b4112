//! Examples of equal shapes, which cross together: what their plugin reads is their own,
//! however it asks for it.

use crate::common::*;
use consort_inference::{Call, Example, TenantId, Tensor, Tensors};
use consort_plugin::{Instances, Limits};

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
    let all = ["together", "alone", "cut"];
    let ways = [Instances::Fresh, Instances::Reuse].map(|kept| all.map(|how| (how, kept)));
    for (how, instances) in ways.concat() {
        let mut config = config("reads_columns");
        config.config = how.into();
        config.instances = instances;
        let plugin = world.load(config).await;
        // The host puts short rows into one place and leaves long ones where they are; the
        // longest go in one by one.
        for bytes in [0, 7, 100, 600, 5_000, 90_000] {
            for count in [1, 2, 40, 300] {
                if count * bytes > 4 << 20 {
                    continue;
                }
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

/// As much of long texts as a plugin asks for, and numbers that the host widens.
#[tokio::test]
async fn ends_are_read_and_numbers_widened() {
    let world = world();
    let text = |at: usize, bytes: usize| -> Vec<u8> {
        (0..bytes).map(|n| b'a' + ((at + n) % 26) as u8).collect()
    };
    for how in ["together", "alone"] {
        for (most, bytes) in [(0, 5), (4, 3), (4, 4), (4, 2_000), (usize::MAX, 9)] {
            let mut config = config("reads_ends");
            config.config = format!("{} {how}", most.min(u32::MAX as usize));
            let plugin = world.load(config).await;
            let examples = (0..20).map(|at| {
                let texts = [text(at, bytes), text(at, at % 3)];
                let numbers = [i32::MIN, at as i32, i32::MAX];
                let tensors = [
                    ("texts", Tensor::from_byte_strings(vec![2], texts)),
                    ("numbers", Tensor::from_slice(vec![3], &numbers)),
                ];
                let tensors = tensors.map(|(name, tensor)| (name.into(), tensor.unwrap()));
                Example {
                    tenant: TenantId::default(),
                    key: None,
                    tensors: Tensors::from_named(tensors).unwrap(),
                }
            });
            let results = plugin.run_postprocess(examples.collect(), Call::default());
            for (at, result) in results.await.into_iter().enumerate() {
                let tensors = result.unwrap();
                let said = |text: &[u8]| {
                    let size = text.len().min(most);
                    let (head, tail) = (&text[..size], &text[text.len() - size..]);
                    let (head, tail) = (head.escape_ascii(), tail.escape_ascii());
                    format!("{head} {tail} {} true", text.len())
                };
                let ends = [said(&text(at, bytes)), said(&text(at, at % 3))];
                let actual = tensors.tensor("ends").unwrap().byte_strings().unwrap();
                assert_eq!(actual, ends, "{how}, {most} of {bytes} bytes");
                let wide = [i32::MIN, at as i32, i32::MAX].map(f64::from);
                let wide = Tensor::from_slice(vec![3], &wide).unwrap();
                assert_eq!(*tensors.tensor("wide").unwrap(), wide);
                let refused = tensors.tensor("refused").unwrap().byte_strings().unwrap();
                assert_eq!(refused, ["INT32 cannot be widened to FP32"]);
            }
        }
    }
}

/// What the host makes of a plugin's numbers counts as made by the plugin.
#[tokio::test]
async fn widened_numbers_are_counted() {
    let world = world();
    let mut config = config("reads_ends");
    config.config = "0 alone".into();
    config.limits.output_bytes_max = 1 << 20;
    let plugin = world.load(config).await;
    for (count, fits) in [(100_000, true), (140_000, false)] {
        let tensors = [
            ("texts", Tensor::from_byte_strings(vec![2], ["", ""])),
            (
                "numbers",
                Tensor::from_slice(vec![count], &vec![1i32; count]),
            ),
        ];
        let tensors = tensors.map(|(name, tensor)| (name.into(), tensor.unwrap()));
        let example = Example {
            tenant: TenantId::default(),
            key: None,
            tensors: Tensors::from_named(tensors).unwrap(),
        };
        let mut results = plugin.run_postprocess(vec![example], Call::default()).await;
        match results.remove(0) {
            Ok(_) => assert!(fits, "{count} numbers"),
            Err(failure) => {
                assert!(
                    !fits && failure.message.contains("output_bytes_max"),
                    "{failure}"
                );
            }
        }
    }
}

/// What a plugin cuts out of a large tensor goes on alone: nobody counts what it would keep. It
/// counts as made by the plugin then.
#[tokio::test]
async fn a_small_part_does_not_keep_the_whole() {
    let world = world();
    let batch = Tensor::from_slice(vec![3, 100, 1_000], &vec![0.5f32; 300_000]).unwrap();
    // Cut out of a batch by the host, which is not the plugin's doing.
    let whole = batch.unstack().unwrap().remove(1);
    let limit = Limits {
        output_bytes_max: 1 << 20,
        ..Limits::default()
    };
    for (rows, times, copies) in [
        (100, 50, 0),
        (60, 50, 0),
        (40, 1, 1),
        (40, 6, 6),
        (40, 7, 7),
    ] {
        let mut config = config("cuts_rows");
        config.config = format!("{rows} {times}");
        config.limits = limit.clone();
        let plugin = world.load(config).await;
        let example = Example {
            tenant: TenantId::default(),
            key: None,
            tensors: Tensors::from_named([("rows".into(), whole.clone())]).unwrap(),
        };
        let mut results = plugin.run_postprocess(vec![example], Call::default()).await;
        if copies * rows * 4_000 > limit.output_bytes_max {
            let failure = results.remove(0).unwrap_err();
            assert!(failure.message.contains("output_bytes_max"), "{failure}");
            continue;
        }
        let cut = results.remove(0).unwrap().take("cut").unwrap();
        assert_eq!(cut, whole.slice(&[0..rows, 0..1_000]).unwrap());
        let inside = whole.data().as_ptr_range().contains(&cut.data().as_ptr());
        assert_eq!(inside, copies == 0, "{rows} rows");
    }
}
