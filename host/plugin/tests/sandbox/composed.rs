//! Components as other tools and other times make them: two plugins linked into one, and one
//! built against the contract as it first was.

use crate::common::*;
use crate::fake_model::{add_one, grant};
use consort_inference::Outcome;
use consort_plugin::{Config, Instances, Sandbox, Snapshot};
use std::sync::Arc;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions};

const POSTPROCESS: &str = "consort:inference/postprocess@0.1.0";

/// Links the guest `wraps_postprocess` with the one that does its work.
fn wrapped(inner: &str) -> Vec<u8> {
    let mut graph = CompositionGraph::new();
    let mut instance = |name: &str, guest_name: &str| {
        let bytes = std::fs::read(guest(guest_name)).unwrap();
        let package = Package::from_bytes(name, None, bytes, graph.types_mut()).unwrap();
        let package = graph.register_package(package).unwrap();
        graph.instantiate(package)
    };
    let inner = instance("test:inner", inner);
    let outer = instance("test:outer", "wraps_postprocess");
    for name in ["init", POSTPROCESS] {
        let provided = graph.alias_instance_export(inner, name).unwrap();
        graph
            .set_instantiation_argument(outer, name, provided)
            .unwrap();
    }
    for name in ["init", POSTPROCESS] {
        let exported = graph.alias_instance_export(outer, name).unwrap();
        graph.export(exported, name).unwrap();
    }
    // What neither provides, both import: the host's.
    graph.encode(EncodeOptions::default()).unwrap()
}

#[tokio::test]
async fn two_plugins_linked_are_one_plugin() {
    let world = world();
    let (_folder, config) = bytes(&wrapped("identity"));
    let inspection = Sandbox::inspect(&config.path).unwrap();
    assert_eq!(inspection.not_a_plugin, None);
    assert!(inspection.snapshot.is_err());
    let plugin = world.load(config).await;
    assert_eq!(
        plugin.postprocess().unwrap().inputs[0].to_string(),
        "INT64 [1]"
    );
    let sums = post(&plugin, "default", [1, 2, 3]).await;
    assert_eq!(sums, [Ok(101), Ok(102), Ok(103)]);
}

/// A component of several modules cannot be photographed.
#[tokio::test]
async fn linked_plugins_are_reused_within_a_tenant_and_the_host_says_so() {
    let logged = Logged::begin();
    let folder = tempfile::tempdir().unwrap();
    let world = world_of(Config {
        cache_dir: Some(folder.path().join("cache")),
        ..small()
    });
    let (_folder, config) = bytes(&wrapped("remembers_previous_call"));
    for cached in [false, true] {
        let plugin = world.load(config.clone()).await;
        assert_eq!(plugin.load_report().cached, cached);
        assert!(matches!(
            plugin.load_report().snapshot,
            Snapshot::NotPossible { .. }
        ));
        assert_eq!(plugin.instances(), Instances::Reuse);
        let told = "instances are reused within a tenant";
        assert!(logged.contains(told), "{:?}", logged.lines());
        for (tenant, x, sum) in [("a", 1, 101), ("a", 2, 103), ("b", 5, 105), ("a", 3, 106)] {
            assert_eq!(post(&plugin, tenant, [x]).await, [Ok(sum)], "{tenant} {x}");
        }
    }
}

#[tokio::test]
async fn a_half_alone_is_refused() {
    let world = world();
    let refusal = world.refusal(config("wraps_postprocess")).await;
    assert!(
        refusal.contains("`init`") || refusal.contains(POSTPROCESS),
        "{refusal}"
    );
}

/// Whatever is added to the contract takes nothing away.
#[tokio::test]
async fn a_plugin_of_the_first_contract_still_works() {
    let world = world();
    let model = Arc::new(add_one());
    let plugin = world
        .load(grant(config("built_on_first_contract"), [&model]))
        .await;
    assert_eq!(plugin.load_report().snapshot, Snapshot::Taken);
    assert_eq!(post(&plugin, "default", [1, 2]).await, [Ok(2), Ok(3)]);
    let forwarded = pre(&plugin, &[7]).await;
    let Ok(Outcome::Forward(tensors)) = &forwarded[0] else {
        panic!("{forwarded:?}");
    };
    assert_eq!(x_of(tensors), 7);
}
