//! Graphs nobody drew: whatever their steps do, each example has exactly one result.

use super::sketch::sketch;
use proptest::prelude::*;

/// One line of a sketch: what it reads, and all that may happen in it.
fn line(index: usize) -> impl Strategy<Value = String> {
    let reads = proptest::collection::btree_set(0..=index, 1..3);
    let happens = prop_oneof![
        Just(String::new()),
        (0i64..9).prop_map(|sum| format!("fails {sum}")),
        (0i64..9).prop_map(|sum| format!("full {sum}")),
        (0i64..9).prop_map(|sum| format!("forgets {sum}")),
        (0i64..9).prop_map(|sum| format!("answers {sum} -> y")),
    ];
    let when = proptest::option::of((0..=index, 0i64..9));
    let ways = (reads, happens, when, any::<bool>(), 0u64..4);
    ways.prop_map(move |(reads, happens, when, optional, milliseconds)| {
        let reads: Vec<String> = reads.iter().map(|read| format!("t{read}")).collect();
        let reads = reads.join(" ");
        let when = when.map(|(tensor, limit)| format!("when t{tensor} > {limit} optional"));
        let optional = if optional { "optional" } else { "" };
        let (when, made) = (when.unwrap_or_default(), index + 1);
        format!("model s{made}: {reads} -> t{made} | {milliseconds}ms {happens} {when} {optional}")
    })
}

fn graph() -> impl Strategy<Value = String> {
    (1usize..7).prop_flat_map(|count| {
        let lines: Vec<_> = (0..count).map(line).collect();
        lines.prop_map(move |lines| {
            let lines = lines.join("\n");
            format!("in t0\n{lines}\nmodel last: t{count} -> y")
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Keys are checked where the sketch runs: a result belongs to its own example.
    #[test]
    fn one_result_for_each_example_in_order(
        text in graph(),
        values in proptest::collection::vec(0i64..6, 1..6),
    ) {
        // Of steps that nothing is read from, the request's tensor may be left over.
        prop_assume!(text.contains(": t0"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let play = sketch(&text).unwrap();
            let together = play.run(&values).await;
            assert_eq!(together.len(), values.len(), "{text}");
            assert_eq!(play.ensemble.inflight(), (0, 0), "{text}");
            // Company changes nothing but which of several ends comes first.
            let outcome = |told: &str| told.contains(" by ");
            for (value, told) in values.iter().zip(&together) {
                let alone = play.run(&[*value]).await;
                if outcome(told) && outcome(&alone[0]) {
                    assert_eq!(&alone[0], told, "{text}");
                }
            }
        });
    }
}
