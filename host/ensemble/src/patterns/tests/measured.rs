//! Shadows: never in the way, bounded, compared.

use super::fake::{fake, member, metrics, numbered, plus, told};
use crate::patterns::*;
use consort_inference::FailureKind;
use std::sync::Arc;
use std::time::Duration;

async fn settled(shadow: &Shadow) {
    while shadow.inflight() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shadow_is_compared_and_never_waited_for() {
    let slow = fake("v2", |x| match x {
        1 => Ok(1),
        2 => Ok(7),
        _ => Err(FailureKind::ModelFailed),
    });
    let mut slow = Arc::into_inner(slow).unwrap();
    slow.takes = Duration::from_secs(5);
    let (slow, metrics) = (Arc::new(slow), metrics());
    let config = ShadowConfig::new("s", plus("v1", 0), member(&slow));
    let shadow = Shadow::new(config, &metrics).unwrap();
    let begin = tokio::time::Instant::now();
    let results = told(&shadow, numbered(&[1, 2, 3])).await;
    assert_eq!(results, ["1", "2", "3"]);
    assert_eq!(begin.elapsed(), Duration::from_millis(1));
    assert_eq!(shadow.inflight(), 3);
    settled(&shadow).await;
    let counts = ["equal", "different", "failed"].map(|word| metrics.shadow_count("s", word));
    assert_eq!(counts, [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_room_is_dropped_and_counted() {
    let (metrics, v2) = (metrics(), fake("v2", Ok));
    let config = ShadowConfig {
        inflight_max: 2,
        ..ShadowConfig::new("s", plus("v1", 0), member(&v2))
    };
    let shadow = Shadow::new(config, &metrics).unwrap();
    told(&shadow, numbered(&[1, 2, 3])).await;
    assert_eq!(metrics.shadow_count("s", "dropped"), 3);
    told(&shadow, numbered(&[1, 2])).await;
    settled(&shadow).await;
    assert_eq!(metrics.shadow_count("s", "equal"), 2);
    assert_eq!(v2.calls(), ["0 1"]);
}

#[tokio::test(start_paused = true)]
async fn inputs_and_outputs_count_against_the_bytes() {
    // An example is a number of eight bytes, and so is its answer.
    for (inflight_bytes_max, compared) in [(7, 0), (15, 0), (16, 1)] {
        let metrics = metrics();
        let config = ShadowConfig {
            inflight_bytes_max,
            ..ShadowConfig::new("s", plus("v1", 0), plus("v2", 0))
        };
        let shadow = Shadow::new(config, &metrics).unwrap();
        for _ in 0..2 {
            assert_eq!(told(&shadow, numbered(&[1])).await, ["1"]);
            settled(&shadow).await;
        }
        let counts = ["equal", "dropped"].map(|word| metrics.shadow_count("s", word));
        assert_eq!(
            counts,
            [2 * compared, 2 - 2 * compared],
            "{inflight_bytes_max}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_shadow_that_hangs_gives_its_room_back() {
    let mut v2 = Arc::into_inner(fake("v2", Ok)).unwrap();
    v2.takes = Duration::from_secs(1_000_000);
    let metrics = metrics();
    let config = ShadowConfig::new("s", plus("v1", 0), member(&Arc::new(v2)));
    let shadow = Shadow::new(config, &metrics).unwrap();
    told(&shadow, numbered(&[1])).await;
    settled(&shadow).await;
    assert_eq!(metrics.shadow_count("s", "failed"), 1);
}
