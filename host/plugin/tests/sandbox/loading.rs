//! What is refused at load and how it is told; the cache; inspection.

use crate::common::*;
use consort_inference::FailureKind;
use consort_plugin::{
    Capability, Config, Limits, LoadProblem, PluginConfig, Role, Sandbox, Snapshot,
};
use std::path::Path;

/// A component with the right names, and a core module to misbehave when it starts.
fn starting(module: &str) -> String {
    format!(
        r#"(component
            (core module $m
                {module}
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64)
                (func (export "init") (param i32 i32) (result i32) i32.const 0)
                (func (export "f")))
            (core instance $i (instantiate $m))
            (func $init (param "config" string) (result (result (error string)))
                (canon lift (core func $i "init") (memory (core memory $i "memory"))
                    (realloc (core func $i "realloc"))))
            (func $f (canon lift (core func $i "f")))
            (instance $role (export "describe" (func $f)) (export "process" (func $f)))
            (export "init" (func $init))
            (export "consort:inference/postprocess@0.1.0" (instance $role)))"#
    )
}

#[tokio::test]
async fn files_that_are_no_components_are_named() {
    let world = world();
    let missing = PluginConfig::new("plugin".parse().unwrap(), "/no/such/file.wasm");
    let error = world.sandbox.load(missing).await.unwrap_err();
    assert!(matches!(error.problem, LoadProblem::Unreadable(_)));
    assert!(
        error.to_string().starts_with("/no/such/file.wasm: "),
        "{error}"
    );

    let folder = PluginConfig::new("plugin".parse().unwrap(), std::env::temp_dir());
    assert!(world.refusal(folder).await.contains("is a directory"));
    for (content, part) in [
        (&b""[..], "it begins with nothing"),
        (b"\x7fELF\x02", "it begins with \"\\x7fELF\\x02\""),
        (b"\0asm\x01\0\0\0", "this is a core WebAssembly module"),
        (b"\0asm\x0d\0", "it ends at byte 6"),
    ] {
        let (_folder, config) = bytes(content);
        let refusal = world.refusal(config).await;
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[tokio::test]
async fn a_component_cut_off_is_refused() {
    let world = world();
    let whole = std::fs::read(guest("identity")).unwrap();
    for end in [whole.len() / 3, whole.len() - 1] {
        let (_folder, config) = bytes(&whole[..end]);
        let refusal = world.refusal(config).await;
        assert!(refusal.contains("truncated"), "{refusal}");
    }
}

#[tokio::test]
async fn a_component_with_a_damaged_function_is_refused() {
    let world = world();
    let mut damaged = wat::parse_str(starting("(func nop nop nop nop nop)")).unwrap();
    let at = damaged.windows(5).position(|w| w == [1; 5]).unwrap();
    damaged[at..at + 5].fill(0xff);
    let (_folder, config) = bytes(&damaged);
    let refusal = world.refusal(config).await;
    assert!(refusal.contains("cannot be compiled"), "{refusal}");
}

#[tokio::test]
async fn other_worlds_are_refused_by_what_they_export() {
    let world = world();
    let (_folder, config) = component("(component)");
    let refusal = world.refusal(config).await;
    assert!(refusal.starts_with("no role is exported"), "{refusal}");
    let no_init = r#"(component
        (instance $empty)
        (export "consort:inference/preprocess@0.1.0" (instance $empty)))"#;
    let (_folder, config) = component(no_init);
    let refusal = world.refusal(config).await;
    assert!(refusal.starts_with("`init` is not exported"), "{refusal}");
    assert!(refusal.contains("preprocess-plugin"), "{refusal}");
}

#[tokio::test]
async fn exports_of_other_types_are_refused() {
    let world = world();
    let (_folder, config) = component(&starting(""));
    let refusal = world.refusal(config).await;
    assert!(
        refusal.contains("`postprocess` does not have the contract's type"),
        "{refusal}"
    );
}

#[tokio::test]
async fn imports_that_nobody_has_are_refused() {
    let world = world();
    for (import, parts) in [
        (
            "wasi:http/outgoing-handler@0.2.0",
            ["capability \"http\"", "under [plugin.plugin]"],
        ),
        (
            "wasi:nn/graph@0.2.0-rc-2024-10-28",
            ["models = [\"...\"]", "under [plugin.plugin]"],
        ),
        (
            "wasi:nn/graph@0.2.0-rc-2024-08-19",
            ["does not have", "wasi:nn@0.2.0-rc-2024-10-28"],
        ),
        ("acme:secrets/vault@1.0.0", ["does not have", "wasi:clocks"]),
        (
            "consort:inference/weather@0.1.0",
            ["does not have", "tensors"],
        ),
    ] {
        let text = starting("").replacen(
            "(component",
            &format!("(component (import \"{import}\" (instance))"),
            1,
        );
        let (_folder, config) = component(&text);
        let refusal = world.refusal(config).await;
        assert!(refusal.contains(&format!("`{import}`")), "{refusal}");
        for part in parts {
            assert!(refusal.contains(part), "{refusal}");
        }
    }
}

#[tokio::test]
async fn imports_of_other_types_are_refused() {
    let world = world();
    let text = starting("").replacen(
        "(component",
        "(component (import \"consort:inference/log@0.1.3\"
            (instance (export \"log\" (func (param \"text\" string)))))",
        1,
    );
    let (_folder, config) = component(&text);
    let refusal = world.refusal(config).await;
    assert!(refusal.contains("do not fit this host"), "{refusal}");
    assert!(refusal.contains("consort:inference/log@0.1.3"), "{refusal}");
}

/// The contract's versions: what a newer `0.1.z` component imports is satisfied as long
/// as it is the same.
#[tokio::test]
async fn imports_of_the_same_track_are_linked() {
    let world = world();
    let text = starting("").replacen(
        "(component",
        "(component (import \"consort:inference/assets@0.1.9\"
            (instance (export \"names\" (func (result (list string))))))",
        1,
    );
    let (_folder, config) = component(&text);
    let refusal = world.refusal(config).await;
    // Past linking: what is wrong is the role, as in the component without the import.
    assert!(refusal.contains("`postprocess` does not have"), "{refusal}");
}

#[tokio::test]
async fn requested_capabilities_are_refused() {
    let world = world();
    for capability in Capability::ALL {
        let mut config = config("identity");
        config.capabilities.insert(capability);
        let refusal = world.refusal(config).await;
        assert!(refusal.contains(&format!("\"{capability}\"")), "{refusal}");
    }
}

#[tokio::test]
async fn digests_are_compared() {
    let world = world();
    let inspection = Sandbox::inspect(&guest("identity")).unwrap();
    let mut config = config("identity");
    config.sha256 = Some(inspection.sha256.to_uppercase());
    let plugin = world.load(config.clone()).await;
    assert_eq!(plugin.load_report().sha256, inspection.sha256);
    config.sha256 = Some("00".repeat(32));
    let refusal = world.refusal(config).await;
    assert!(refusal.contains(&inspection.sha256), "{refusal}");
    assert!(refusal.contains("the manifest says 0000"), "{refusal}");
}

#[tokio::test]
async fn sizes_are_limited() {
    let world = world();
    let with = |limits| PluginConfig {
        limits,
        ..config("echo")
    };
    let limits = Limits::default;
    let refusal = world
        .refusal(with(Limits {
            wasm_bytes_max: 1000,
            ..limits()
        }))
        .await;
    assert!(refusal.contains("more than 1000"), "{refusal}");
    assert!(refusal.contains("wasm_bytes_max"), "{refusal}");
    let refusal = world
        .refusal(with(Limits {
            function_bytes_max: 50,
            ..limits()
        }))
        .await;
    assert!(refusal.contains("function_bytes_max"), "{refusal}");
    let refusal = world
        .refusal(with(Limits {
            core_instances_max: 1,
            ..limits()
        }))
        .await;
    assert!(refusal.contains("core_instances_max allows 1"), "{refusal}");
    let refusal = world
        .refusal(with(Limits {
            memory_bytes_max: 1 << 16,
            ..limits()
        }))
        .await;
    assert!(refusal.contains("memory_bytes_max"), "{refusal}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("asset");
    std::fs::write(&path, [b'a'; 600]).unwrap();
    let mut config = with(Limits {
        asset_bytes_max: 1000,
        ..limits()
    });
    config.assets.insert("a".into(), path.clone());
    world.load(config.clone()).await;
    config.assets.insert("b".into(), path);
    let refusal = world.refusal(config.clone()).await;
    assert!(refusal.contains("asset_bytes_max"), "{refusal}");
    config.assets.insert("a".into(), folder.path().join("none"));
    let refusal = world.refusal(config).await;
    assert!(refusal.starts_with("asset \"a\" ("), "{refusal}");
}

#[tokio::test]
async fn what_a_component_does_when_it_starts_is_limited() {
    let world = world();
    let limits = Limits {
        init_time_max: std::time::Duration::from_millis(400),
        table_elements_max: 1000,
        memory_bytes_max: 4 << 20,
        ..Limits::default()
    };
    for (module, part) in [
        ("(func $s (loop br 0)) (start $s)", "init_time_ms_max = 400"),
        (
            "(table 1 funcref) (func $s
                (br_if 0 (i32.ne (i32.const -1)
                    (table.grow (ref.null func) (i32.const 100000))))
                unreachable) (start $s)",
            "table_elements_max",
        ),
        ("(table 2000 funcref)", "table_elements_max allows 1000"),
        (
            "(memory 1000) (memory 1000) (func $s unreachable) (start $s)",
            "memory_bytes_max",
        ),
        (
            "(func $s (drop (memory.grow (i32.const 65000))) unreachable) (start $s)",
            "memory_bytes_max",
        ),
        ("(func $s unreachable) (start $s)", "init failed: trapped"),
        ("(func $s call $s) (start $s)", "call stack exhausted"),
    ] {
        let (_folder, mut config) = component(&starting(module));
        config.limits = limits.clone();
        let refusal = world.refusal(config).await;
        assert!(refusal.contains(part), "{module}: {refusal}");
    }
    assert_eq!(world.metric("consort_plugin_instances "), 0.0);
}

#[tokio::test]
async fn what_the_engine_does_not_have_is_refused() {
    let world = world();
    for module in [
        "(memory 1 1 shared)",
        "(memory i64 1)",
        "(type (struct (field i32)))",
        "(tag)",
    ] {
        let (_folder, config) = component(&starting(module));
        let refusal = world.refusal(config).await;
        assert!(
            refusal.contains("cannot be compiled"),
            "{module}: {refusal}"
        );
    }
}

/// Modules nested in components are what wasmtime-wizer does not take.
#[tokio::test]
async fn components_that_cannot_be_photographed_still_load_or_say_why() {
    let text = starting("").replacen("(component", "(component (component (core module))", 1);
    let (_folder, config) = component(&text);
    let reason = Sandbox::inspect(&config.path)
        .unwrap()
        .snapshot
        .unwrap_err();
    assert!(reason.contains("nested"), "{reason}");
    let refusal = world().refusal(config).await;
    assert!(
        refusal.contains("contract's type"),
        "it got as far as its role: {refusal}"
    );
}

fn cached(folder: &Path) -> World {
    world_of(Config {
        cache_dir: Some(folder.join("cache")),
        ..small()
    })
}

#[tokio::test]
async fn a_second_start_compiles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["loaded_table", "keeps_tensor_from_init"] {
        let first = cached(folder.path()).load(config(name)).await;
        let before = first.load_report().clone();
        assert!(!before.cached && !before.compile.is_zero(), "{before:?}");

        let world = cached(folder.path());
        let second = world.load(config(name)).await;
        let after = second.load_report();
        assert!(after.cached && after.compile.is_zero(), "{after:?}");
        assert_eq!(after.snapshot, before.snapshot);
        assert!(after.total < before.total, "{after:?} after {before:?}");
        assert!(post_one(&second, 1).await.is_ok());
        let loads = format!("consort_plugin_loads_total{{plugin=\"{name}\",result=\"cached\"}}");
        assert_eq!(world.metric(&loads), 1.0);
    }
}

#[tokio::test]
async fn what_the_snapshot_depends_on_is_in_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let asset = folder.path().join("asset");
    std::fs::write(&asset, "one").unwrap();
    let world = cached(folder.path());
    let mut config = config("echo");
    let load = async |config: &PluginConfig| {
        let plugin = world.load(config.clone()).await;
        plugin.load_report().cached
    };
    assert!(!load(&config).await);
    assert!(load(&config).await);
    config.config = "other".into();
    assert!(!load(&config).await);
    config.assets.insert("a".into(), asset.clone());
    assert!(!load(&config).await);
    assert!(load(&config).await);
    std::fs::write(&asset, "two").unwrap();
    assert!(!load(&config).await);
    // Limits and names are not part of what was compiled.
    config.name = "again".parse().unwrap();
    config.limits.log_bytes_max = 1;
    assert!(load(&config).await);
}

#[tokio::test]
async fn two_loads_at_once_compile_once() {
    let folder = tempfile::tempdir().unwrap();
    let world = cached(folder.path());
    let (a, b) = tokio::join!(world.load(config("echo")), world.load(config("echo")));
    let cached = [a.load_report().cached, b.load_report().cached];
    assert_eq!(cached.iter().filter(|cached| **cached).count(), 1);
}

#[tokio::test]
async fn a_damaged_cache_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let logged = Logged::begin();
    cached(folder.path()).load(config("identity")).await;
    let entry = std::fs::read_dir(folder.path().join("cache")).unwrap();
    let path = entry.last().unwrap().unwrap().path();
    let mut content = std::fs::read(&path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0x55;
    std::fs::write(&path, &content).unwrap();

    let world = cached(folder.path());
    let plugin = world.load(config("identity")).await;
    assert!(!plugin.load_report().cached);
    assert_eq!(post_one(&plugin, 5).await, Ok(5));
    assert!(
        cached(folder.path())
            .load(config("identity"))
            .await
            .load_report()
            .cached
    );
    drop(logged);
}

#[cfg(unix)]
#[tokio::test]
async fn a_cache_open_to_others_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).unwrap();
    let world = cached(folder.path());
    let problem = world.sandbox.cache_problem().unwrap().to_string();
    assert!(problem.contains("chmod 700"), "{problem}");
    let plugin = world.load(config("identity")).await;
    assert_eq!(post_one(&plugin, 5).await, Ok(5));
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 0);
}

#[test]
fn components_are_described_without_running_them() {
    let inspection = Sandbox::inspect(&guest("identity")).unwrap();
    assert_eq!(inspection.roles, [Role::Preprocess, Role::Postprocess]);
    assert!(!inspection.needs_models);
    assert_eq!(inspection.not_a_plugin, None);
    assert_eq!(inspection.snapshot, Ok(()));
    assert!(inspection.capabilities.is_empty() && inspection.unknown_imports.is_empty());
    assert!(
        inspection
            .imports
            .contains(&"consort:inference/tensors@0.1.0".to_owned())
    );
    assert!(inspection.exports.contains(&"init".to_owned()));
    assert_eq!(
        inspection.bytes,
        std::fs::metadata(guest("identity")).unwrap().len()
    );

    let socket = Sandbox::inspect(&guest("opens_socket")).unwrap();
    assert_eq!(socket.capabilities, [Capability::Network].into());

    let glue = Sandbox::inspect(&guest("token_glue")).unwrap();
    assert_eq!(
        (glue.roles, glue.needs_models),
        (vec![Role::ModelHandler], false)
    );
    let standard = Sandbox::inspect(&guest("nn_runs_model")).unwrap();
    assert!(standard.needs_models && standard.unknown_imports.is_empty());
    assert!(standard.capabilities.is_empty());

    let (_folder, config) = component("(component (import \"a:b/c\" (instance)))");
    let other = Sandbox::inspect(&config.path).unwrap();
    assert_eq!(other.unknown_imports, ["a:b/c"]);
    assert!(other.not_a_plugin.unwrap().contains("no role is exported"));
    let (_folder, config) = bytes(b"hello");
    assert!(
        Sandbox::inspect(&config.path)
            .unwrap_err()
            .to_string()
            .contains("\"hello\"")
    );
}

#[tokio::test]
async fn a_snapshot_is_the_state_after_init() {
    let world = world();
    let plugin = world.guest("loaded_table").await;
    assert_eq!(plugin.load_report().snapshot, Snapshot::Taken);
    assert_eq!(
        post(&plugin, "default", [0, 2047]).await,
        [Ok(137), Ok(140)]
    );
    let failure = post_one(&plugin, 2048).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::InvalidArgument);
}
