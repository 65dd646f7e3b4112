//! What is right of a text that is wrong elsewhere: exactly the named tables that nothing is
//! wrong with.
#![expect(
    clippy::unwrap_used,
    reason = "a test may panic, and these functions are only called by tests"
)]

use consort_manifest::{Manifest, Reading, read};
use proptest::prelude::*;
use std::fmt::Write;

/// The names of what is there, by section.
fn names(manifest: &Manifest) -> String {
    let models = manifest.models.iter().map(|model| &model.name);
    let plugins = manifest.plugins.iter().map(|plugin| &plugin.name);
    let ensembles = manifest.ensembles.iter().map(|ensemble| &ensemble.name);
    let maps = manifest.model_maps.iter().map(|map| &map.name);
    let tenants = manifest.tenants.iter().map(|tenant| &tenant.name);
    let all = models.chain(plugins).chain(ensembles);
    let all = all.chain(maps).chain(tenants);
    let all: Vec<&str> = all.map(|name| name.as_str()).collect();
    all.join(" ")
}

#[track_caller]
fn check(text: &str, whole: &str, problems: usize) {
    let text = format!("consort = 1\n{text}");
    let reading = read("m.toml", &text);
    assert_eq!(
        names(&reading.manifest.unwrap()),
        whole,
        "{}",
        reading.problems
    );
    assert_eq!(reading.problems.count(), problems, "{}", reading.problems);
}

#[test]
fn a_wrong_key_is_of_its_own_table_only() {
    let text = "[model.a]\npath = 'a'\nreplicas = 0\n[model.b]\npath = 'b'\n\
                [plugin.p]\npaht = 'p'\n[plugin.q]\npath = 'q'\n\
                [[ensemble.e.step]]\nmodel = 'a'\n[[ensemble.f.step]]\nplugin = 'nothing'\n";
    check(text, "b q e", 4);
}

#[test]
fn what_is_wrong_deep_inside_counts_for_the_whole_table() {
    let text = "[plugin.p]\npath = 'p'\n[plugin.p.limits]\ntables_max = -1\n\
                [plugin.q]\npath = 'q'\nassets = { '' = 'x' }\n\
                [plugin.r]\npath = 'r'\n\
                [[ensemble.e.step]]\nplugin = 'r'\noutputs = { x = 'y', z = 'y' }\n\
                [[ensemble.f.step]]\nplugin = 'r'\n\
                [[ensemble.f.step]]\nplugin = 'r'\n\
                [ensemble.g]\nfiles = { x = { read = 'head' } }\nstep = [{ plugin = 'r' }]\n";
    check(text, "r", 5);
}

#[test]
fn maps_and_tenants_too() {
    let text = "[model.a]\npath = 'a'\n[model.b]\npath = 'b'\nhandler = 'none'\n\
                [model-map.m]\ndefault = 'b'\n[model-map.n]\ndefault = 'none'\n\
                [tenant.t]\nweight = 0\n[tenant.u]\nweight = 3\n\
                [[ensemble.e.step]]\nmodel = 'm'\n";
    check(text, "a e m u", 3);
}

#[test]
fn a_name_that_cannot_be_is_left_out() {
    check("[model.'a b']\npath = 'a'\n[model.c]\npath = 'c'\n", "c", 1);
    check(
        "[model.same]\npath = 'a'\n[[ensemble.same.step]]\nmodel = 'same'\n",
        "same",
        1,
    );
}

#[test]
fn a_wrong_single_table_leaves_out_nothing() {
    let text = "colour = 1\n[server]\nrows_max = 0\n[job]\nlines = 1\n[model.a]\npath = 'a'\n";
    check(text, "a", 3);
}

#[test]
fn near_a_line_that_is_no_toml_nothing_is_whole() {
    let rest = "[model.b]\npath = 'b'\n[[ensemble.e.step]]\nmodel = 'a'\n";
    check(
        &format!("[model.a]\npath = 'a'\nbatching 'off'\n{rest}"),
        "b e",
        1,
    );
    check(
        &format!("[model.a]\npath = 'a'\nbatching =\n{rest}"),
        "b e",
        1,
    );
    check(
        &format!("[model.a]\npath = 'a'\npath = 'b'\n{rest}"),
        "b e",
        1,
    );
    // Whose keys those below a broken header are nobody knows, and the next header is lost
    // with it.
    check(
        &format!("[model.x]\npath = 'x'\n[model.a\npath = 'a'\n{rest}[model.c]\npath = 'c'\n"),
        "c",
        1,
    );
}

#[test]
fn what_cannot_be_judged_is_not_there() {
    let manifest = |text: &str| read("m.toml", text).manifest.is_some();
    assert!(!manifest("consort = 2\n[model.a]\npath = 'a'\n"));
    assert!(!manifest("[model.a]\npath = 'a'\n"));
    assert!(!manifest(&"#".repeat((1 << 20) + 1)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is wrong with some models, exactly the others are there.
    #[test]
    fn exactly_the_whole_ones(wrong in prop::collection::vec(prop::option::of(0..6_usize), 1..20)) {
        let faults = [
            "path = ''\n", "path 'x'\n", "path = 'x'\nbatching = 'no'\n",
            "path = 'x'\npath = 'y'\n", "", "path = 'x'\nmax_batch_size = 9999\n",
        ];
        let (mut text, mut whole) = (String::from("consort = 1\n"), Vec::new());
        for (index, wrong) in wrong.iter().enumerate() {
            let keys = wrong.map_or("path = 'x'\n", |wrong| faults[wrong]);
            write!(text, "[model.m{index}]\n{keys}").unwrap();
            if wrong.is_none() {
                whole.push(format!("m{index}"));
            }
        }
        let Reading { manifest, .. } = read("m.toml", &text);
        prop_assert_eq!(names(&manifest.unwrap()), whole.join(" "));
    }
}
