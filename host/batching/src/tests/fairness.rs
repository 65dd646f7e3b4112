//! One tenant's flood does not starve another.

use super::stage::{Fake, MS, Stage, all_ok, example_of, told};
use crate::Config;
use consort_inference::Example;

fn of(tenant: &str, ids: std::ops::Range<i64>) -> Vec<Example> {
    ids.map(|id| example_of(tenant, id, 1)).collect()
}

fn stage() -> Stage {
    let config = Config {
        max_batch_size: Some(4),
        ..Config::default()
    };
    Stage::new(Fake::new().takes(MS * 10), config)
}

#[tokio::test(start_paused = true)]
async fn tenants_take_turns_in_a_batch() {
    let stage = stage();
    let flood = stage.send(of("flood", 0..400)).await;
    let light = stage.send(of("light", 1_000..1_003)).await;
    assert_eq!(told(&light.await.unwrap()), all_ok(1_000..1_003));
    let batches = [[0, 1, 2, 3], [4, 1_000, 5, 1_001], [6, 1_002, 7, 8]];
    assert_eq!(stage.fake.batches()[..3], batches);
    assert_eq!(told(&flood.await.unwrap()), all_ok(0..400));
    assert_eq!(stage.fake.runs().len(), 101);
    for (tenant, examples) in [("flood", 400.0), ("light", 3.0)] {
        let counted =
            format!("num_inferences_total{{model=\"echo\",version=\"7\",tenant=\"{tenant}\"}}");
        assert_eq!(stage.metric(&counted), Some(examples));
    }
}

#[tokio::test(start_paused = true)]
async fn tenants_take_turns_across_layouts() {
    // The flood is of many layouts, each older than the light tenant's.
    let stage = stage();
    let flood: Vec<_> = (0..100)
        .map(|id| example_of("flood", id, 2 + usize::try_from(id).unwrap() % 10))
        .collect();
    let flood = stage.send(flood).await;
    let light = stage.send(of("light", 1_000..1_006)).await;
    assert_eq!(told(&light.await.unwrap()), all_ok(1_000..1_006));
    let runs = stage.fake.batches();
    let place = |id: i64| runs.iter().position(|ids| ids.contains(&id)).unwrap();
    // The flood had two batches before it: one that ran already, and one of its turns. By
    // cost each has had one batch since, for the first ran before any cost was known.
    assert_eq!((place(1_000), place(1_003)), (2, 2), "{runs:?}");
    assert_eq!((place(1_004), place(1_005)), (3, 3), "{runs:?}");
    assert_eq!(told(&flood.await.unwrap()), all_ok(0..100));
}

#[tokio::test(start_paused = true)]
async fn who_keeps_sending_gets_an_even_share() {
    let stage = stage();
    let mut sent = vec![stage.send(of("a", 0..300)).await];
    sent.push(stage.send(of("b", 1_000..1_300)).await);
    sent.push(stage.send(of("c", 2_000..2_030)).await);
    for sent in sent {
        assert!(sent.await.unwrap().iter().all(Result::is_ok));
    }
    let batches = stage.fake.batches();
    let served: Vec<i64> = batches.concat();
    let share = |from: i64, first: usize| {
        let part = served[..first].iter();
        part.filter(|id| (from..from + 1_000).contains(*id)).count()
    };
    // While all three have work: 30 each, and the first batch was a's alone.
    assert!((29..=34).contains(&share(0, 92)), "{}", share(0, 92));
    assert!(
        (29..=34).contains(&share(1_000, 92)),
        "{}",
        share(1_000, 92)
    );
    assert!(
        (28..=30).contains(&share(2_000, 92)),
        "{}",
        share(2_000, 92)
    );
}

#[tokio::test(start_paused = true)]
async fn examples_of_one_call_may_belong_to_several_tenants() {
    let stage = stage();
    let mixed: Vec<_> = (0..8)
        .map(|id| example_of(["a", "b"][usize::from(id >= 6)], id, 1))
        .collect();
    assert_eq!(told(&stage.infer(mixed).await), all_ok(0..8));
    assert_eq!(stage.fake.batches(), [[0, 6, 1, 7], [2, 3, 4, 5]]);
}
