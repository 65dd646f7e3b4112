//! One result for each example, in order, whatever fails.

use super::fake::{fake, member, metrics, numbered, told};
use crate::Step;
use crate::patterns::*;
use consort_inference::FailureKind;
use proptest::prelude::*;
use std::sync::Arc;

/// All patterns around two steps that fail some numbers, one inside another.
fn patterns(one: i64, two: i64) -> Vec<Arc<dyn Step>> {
    let failing = move |name: &str, every: i64| {
        member(&fake(name, move |x| match x % every {
            0 => Err(FailureKind::ModelFailed),
            _ => Ok(x),
        }))
    };
    let (a, b) = (|| failing("a", one), || failing("b", two));
    let arm = |member| SplitArm { weight: 1, member };
    let split = Split::new(
        SplitConfig {
            name: "split".into(),
            arms: vec![arm(a()), arm(b())],
            sticky: Sticky::No,
        },
        &metrics(),
    );
    let canary = Canary::new(
        CanaryConfig {
            name: "canary".into(),
            base: a(),
            canary: b(),
            percent: 30.0,
            sticky: Sticky::Key,
            window: 10,
            errors_max_percent: 50.0,
        },
        &metrics(),
    );
    let vote = Combine::new(CombineConfig {
        name: "vote".into(),
        members: [a(), b()]
            .map(|member| Voter {
                weight: 1.0,
                member,
            })
            .into(),
        rules: Combined::All(Rule::Vote),
        members_min: Some(1),
    });
    let split: Arc<dyn Step> = Arc::new(split.unwrap());
    let fallback = Fallback::new(
        FallbackConfig {
            name: "fallback".into(),
            first: Member::new("split", split.clone()),
            second: b(),
        },
        &metrics(),
    );
    let shadow = Shadow::new(ShadowConfig::new("shadow", a(), b()), &metrics());
    vec![
        split,
        Arc::new(canary.unwrap()),
        Arc::new(vote.unwrap()),
        Arc::new(fallback.unwrap()),
        Arc::new(shadow.unwrap()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn one_result_per_example_in_order(
        values in prop::collection::vec(1i64..1000, 0..40),
        one in 1i64..5,
        two in 1i64..5,
    ) {
        let clock = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        for step in patterns(one, two) {
            let results = clock.block_on(told(&*step, numbered(&values)));
            prop_assert_eq!(results.len(), values.len());
            for (x, result) in values.iter().zip(results) {
                let given = result.split(' ').next().unwrap_or_default();
                let ok = given == x.to_string() && (x % one != 0 || x % two != 0);
                let failed = given == "model_failed" && (x % one == 0 || x % two == 0);
                prop_assert!(ok || failed, "{} of {x}: {result}", step.model_id());
            }
        }
    }
}
