//! Every key of a manifest has an effect that a test shows.
//!
//! `KEYS` names, for each key that `consort schema` knows, the test that shows what the key
//! does; `AT_LOAD` is checked here. A new key fails the test of the table until it has a line.

use consort_tests::place::{Place, infer, numbers};
use consort_tests::{consort, guest, onnx, root, run};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Key, file and test. A test may be in the room that has the key's effect, or here.
const KEYS: &str = "
consort tests/tests/manifest_keys.rs a_problem_has_a_line_a_column_and_what_to_write
model.*.runtime tests/tests/models/remote.rs a_second_consort_that_is_killed_and_comes_back
model.*.path tests/tests/manifest_keys.rs the_text_alone_can_be_checked
model.*.sha256 tests/tests/manifest_keys.rs digests_that_differ_are_both_shown
model.*.version tests/tests/manifest_keys.rs a_version_is_what_predictions_carry
model.*.replicas host/batching/src/tests/forming.rs replicas_run_side_by_side
model.*.threads tests/tests/manifest_keys.rs threads_and_optimization_change_no_answer
model.*.inter_threads tests/tests/manifest_keys.rs threads_and_optimization_change_no_answer
model.*.spinning tests/tests/manifest_keys.rs threads_and_optimization_change_no_answer
model.*.memory_pattern tests/tests/manifest_keys.rs threads_and_optimization_change_no_answer
model.*.optimization tests/tests/manifest_keys.rs threads_and_optimization_change_no_answer
model.*.providers tests/tests/manifest_keys.rs an_absent_execution_provider_is_an_error_unless_fallback
model.*.device_id tests/tests/host_keys.rs a_device_number_is_asked_for
model.*.fallback tests/tests/manifest_keys.rs an_absent_execution_provider_is_an_error_unless_fallback
model.*.batching tests/tests/manifest_keys.rs without_batching_an_example_is_the_whole_input
model.*.batch_policy host/batching/src/tests/company.rs preferred_sizes_are_kept_to_by_the_fixed_policy
model.*.max_batch_size tests/tests/manifest_keys.rs a_request_larger_than_the_queue_names_the_key
model.*.max_queue_delay_us host/batching/src/tests/forming.rs the_delay_counts_from_the_oldest_example
model.*.max_batch_bytes host/batching/src/tests/company.rs bytes_bound_a_batch
model.*.batch_weight.input host/batching/src/tests/company.rs weight_bounds_a_batch_and_what_is_too_heavy_runs_alone
model.*.batch_weight.axis host/batching/src/tests/company.rs weight_bounds_a_batch_and_what_is_too_heavy_runs_alone
model.*.batch_weight.max host/batching/src/tests/company.rs weight_bounds_a_batch_and_what_is_too_heavy_runs_alone
model.*.preferred_batch_sizes host/batching/src/tests/company.rs preferred_sizes_are_kept_to_by_the_fixed_policy
model.*.shape_buckets host/batching/src/tests/company.rs buckets_of_lengths_can_be_written
model.*.max_queue_size tests/tests/manifest_keys.rs a_request_larger_than_the_queue_names_the_key
model.*.max_queue_bytes host/batching/src/tests/limits.rs waiting_bytes_are_bounded
model.*.max_tenant_queue_size host/batching/src/tests/limits.rs a_tenants_share_of_the_queue_can_be_bounded
model.*.timeout_ms host/batching/src/tests/deadlines.rs a_call_without_a_deadline_gets_the_default
model.*.metrics_namespace tests/tests/every_key.rs names_and_versions_are_told_as_they_are_written
model.*.handler tests/tests/models/glue.rs lists_of_unequal_length_are_padded_together_and_cut_apart
model.*.warm_up tests/tests/repository.rs warm_up_rows_are_run_at_the_start_and_before_each_update
model.*.pinned host/registry/tests/registry/memory.rs the_least_recently_used_goes_and_pinned_ones_stay
model.*.watch tests/tests/models/updates.rs fifty_versions_in_a_folder_at_load_lose_nothing
model.*.watch_interval_ms tests/tests/models/updates.rs fifty_versions_in_a_folder_at_load_lose_nothing
model.*.versions tests/tests/models/updates.rs all_versions_or_some_are_served_beside_one_another
model.*.update_check host/registry/tests/registry/updates.rs an_update_that_fails_keeps_the_old_one_and_shows_why
model.*.state tests/tests/states.rs a_stream_has_one_state_whoever_asks
model.*.state_idle_ms tests/tests/states.rs a_stream_that_is_idle_begins_anew
model.*.state_keys_max tests/tests/states.rs beyond_the_most_streams_the_longest_idle_begins_anew
model.*.state_bytes_max tests/tests/states.rs beyond_the_most_streams_the_longest_idle_begins_anew
model.*.url tests/tests/models/remote.rs a_second_consort_that_is_killed_and_comes_back
model.*.protocol host/remote/tests/remote/forms.rs vertex_takes_instances_and_gives_predictions
model.*.remote_name tests/tests/models/remote.rs a_second_consort_that_is_killed_and_comes_back
model.*.remote_version tests/tests/every_key.rs a_remote_version_is_asked_for
model.*.retries_max tests/tests/models/remote.rs a_second_consort_that_is_killed_and_comes_back
model.*.retry_backoff_ms host/remote/src/caller_tests.rs a_call_without_a_deadline_has_a_limit_all_the_same
model.*.request_timeout_ms host/remote/tests/remote/misbehaviour.rs one_that_hangs
model.*.connect_timeout_ms tests/tests/models/remote.rs a_server_that_is_not_there_at_the_start_is_a_problem_with_a_place
model.*.response_bytes_max host/remote/tests/remote/misbehaviour.rs one_with_an_answer_beyond_the_limit
model.*.throttle_overload_ratio tests/tests/models/remote.rs a_second_consort_that_is_killed_and_comes_back
model.*.breaker_failures_max tests/tests/models/remote.rs a_second_consort_that_is_killed_and_comes_back
model.*.breaker_open_ms tests/tests/models/remote.rs a_second_consort_that_is_killed_and_comes_back
model.*.requests_per_second_max host/remote/src/caller_tests.rs the_rate_limit_spaces_requests
model.*.ca_file host/remote/tests/remote/tls.rs a_server_of_the_given_authority_is_trusted
model.*.token_env host/remote/tests/remote/forms.rs secrets_travel_in_headers
model.*.token_file host/remote/tests/remote/forms.rs secrets_travel_in_headers
model.*.inputs.name host/remote/tests/remote/forms.rs vertex_takes_instances_and_gives_predictions
model.*.inputs.datatype host/remote/tests/remote/forms.rs vertex_takes_instances_and_gives_predictions
model.*.inputs.shape host/remote/tests/remote/forms.rs vertex_takes_instances_and_gives_predictions
model.*.outputs.name host/remote/tests/remote/forms.rs vertex_takes_instances_and_gives_predictions
model.*.outputs.datatype host/remote/tests/remote/forms.rs vertex_takes_instances_and_gives_predictions
model.*.outputs.shape host/remote/tests/remote/forms.rs vertex_takes_instances_and_gives_predictions
model-map.*.keys tests/tests/models/keys.rs keys_patterns_files_and_the_default_each_find_their_model
model-map.*.path tests/tests/models/keys.rs keys_patterns_files_and_the_default_each_find_their_model
model-map.*.template tests/tests/models/keys.rs keys_patterns_files_and_the_default_each_find_their_model
model-map.*.default tests/tests/models/keys.rs keys_patterns_files_and_the_default_each_find_their_model
plugin.*.path tests/tests/manifest_keys.rs what_is_cut_off_says_truncated
plugin.*.sha256 tests/tests/manifest_keys.rs digests_that_differ_are_both_shown
plugin.*.version tests/tests/manifest_keys.rs config_and_assets_reach_the_plugin
plugin.*.config tests/tests/manifest_keys.rs config_and_assets_reach_the_plugin
plugin.*.assets tests/tests/manifest_keys.rs config_and_assets_reach_the_plugin
plugin.*.instances tests/tests/manifest_keys.rs instances_are_fresh_unless_they_are_reused
plugin.*.capabilities tests/tests/manifest_keys.rs capabilities_that_nobody_is_granted
plugin.*.models tests/tests/models/glue.rs lists_of_unequal_length_are_padded_together_and_cut_apart
ensemble.*.version tests/tests/every_key.rs names_and_versions_are_told_as_they_are_written
ensemble.*.inputs tests/tests/patterns/flowing.rs an_ensemble_takes_and_gives_what_it_says
ensemble.*.outputs tests/tests/patterns/flowing.rs an_ensemble_takes_and_gives_what_it_says
ensemble.*.step.plugin tests/tests/manifest_keys.rs a_plugin_answers_some_examples_and_forwards_others
ensemble.*.step.model tests/tests/manifest_keys.rs steps_whose_tensors_differ_in_name_datatype_or_rank
ensemble.*.step.name tests/tests/manifest_keys.rs names_that_are_given_twice
ensemble.*.step.role tests/tests/manifest_keys.rs a_step_must_say_which_of_two_roles
ensemble.*.step.inputs tests/tests/manifest_keys.rs steps_whose_tensors_differ_in_name_datatype_or_rank
ensemble.*.step.outputs tests/tests/manifest_keys.rs steps_whose_tensors_differ_in_name_datatype_or_rank
ensemble.*.step.args tests/tests/host_keys.rs a_step_tells_its_arguments
ensemble.*.max_inflight host/ensemble/src/tests/bounds.rs examples_over_the_limit_are_refused_at_once
ensemble.*.max_inflight_bytes host/ensemble/src/tests/bounds.rs bytes_over_the_limit_are_refused_and_given_back_as_tensors_go
ensemble.*.step.ensemble tests/tests/patterns/nested.rs an_ensemble_is_a_step_of_another
ensemble.*.step.split tests/tests/patterns/choosing.rs a_split_keeps_a_key_on_its_arm_and_says_which
ensemble.*.step.sticky tests/tests/patterns/choosing.rs a_header_keeps_a_user_on_an_arm_over_http
ensemble.*.step.combine tests/tests/patterns/combining.rs most_votes_win_then_the_weight_then_the_first
ensemble.*.step.of tests/tests/patterns/combining.rs most_votes_win_then_the_weight_then_the_first
ensemble.*.step.weights tests/tests/patterns/combining.rs most_votes_win_then_the_weight_then_the_first
ensemble.*.step.members_min tests/tests/patterns/combining.rs a_quorum_may_do_and_who_failed_is_told
ensemble.*.step.route tests/tests/patterns/choosing.rs a_route_goes_by_a_text_and_refuses_what_it_does_not_know
ensemble.*.step.cases tests/tests/patterns/choosing.rs a_route_goes_by_a_text_and_refuses_what_it_does_not_know
ensemble.*.step.default tests/tests/patterns/choosing.rs a_route_goes_by_a_text_and_refuses_what_it_does_not_know
ensemble.*.step.canary.to tests/tests/patterns/choosing.rs a_canary_that_fails_stops_and_nobody_notices
ensemble.*.step.canary.percent tests/tests/patterns/choosing.rs a_canary_that_fails_stops_and_nobody_notices
ensemble.*.step.canary.sticky tests/tests/patterns/choosing.rs a_header_keeps_a_user_on_an_arm_over_http
ensemble.*.step.canary.window tests/tests/patterns/choosing.rs a_canary_that_fails_stops_and_nobody_notices
ensemble.*.step.canary.errors_max_percent tests/tests/patterns/choosing.rs a_canary_that_fails_stops_and_nobody_notices
ensemble.*.step.shadow.to tests/tests/patterns/following.rs a_shadow_that_fails_is_counted_and_nobody_notices
ensemble.*.step.shadow.percent host/ensemble/src/patterns/tests/measured.rs a_shadow_is_compared_and_never_waited_for
ensemble.*.step.shadow.inflight_max tests/tests/patterns/following.rs copies_beyond_what_may_be_under_way_are_dropped
ensemble.*.step.shadow.inflight_bytes_max tests/tests/patterns/following.rs copies_beyond_what_may_be_under_way_are_dropped
ensemble.*.step.shadow.timeout_ms tests/tests/patterns/following.rs a_copy_that_takes_too_long_has_failed
ensemble.*.step.fallback tests/tests/patterns/choosing.rs a_fallback_takes_what_fails_and_nothing_else
ensemble.*.step.for_each tests/tests/patterns/fanning.rs each_example_has_as_many_items_as_it_has
ensemble.*.step.items_max tests/tests/patterns/fanning.rs items_and_bytes_have_limits_of_their_own
ensemble.*.step.output_bytes_max tests/tests/patterns/fanning.rs items_and_bytes_have_limits_of_their_own
ensemble.*.step.pad host/ensemble/src/patterns/tests/fanning.rs ragged_outputs_are_padded_only_if_asked
ensemble.*.step.optional tests/tests/patterns/flowing.rs an_optional_step_that_fails_leaves_a_gap_and_says_why
ensemble.*.step.when.tensor tests/tests/patterns/flowing.rs a_cascade_asks_the_dear_model_only_where_the_cheap_one_is_unsure
ensemble.*.step.when.above tests/tests/patterns/flowing.rs a_cascade_asks_the_dear_model_only_where_the_cheap_one_is_unsure
ensemble.*.step.when.below host/ensemble/src/condition/tests.rs numbers
ensemble.*.step.when.equals host/ensemble/src/condition/tests.rs numbers
ensemble.*.step.when.not_equals host/ensemble/src/condition/tests.rs numbers
ensemble.*.step.when.one_of host/ensemble/src/condition/tests.rs numbers
ensemble.*.step.when.of host/ensemble/src/condition/tests.rs numbers
ensemble.*.files.*.read tests/tests/file_type.rs a_huge_file_costs_no_more_than_its_windows
ensemble.*.files.*.bytes tests/tests/file_type.rs a_huge_file_costs_no_more_than_its_windows
ensemble.*.columns tests/tests/every_key.rs columns_become_tensors_and_keys
ensemble.*.key_column tests/tests/every_key.rs columns_become_tensors_and_keys
ensemble.*.timeout_ms tests/tests/manifest_keys.rs an_ensembles_time_ends_its_examples
tenant.*.weight host/batching/src/turns.rs what_counts_is_the_cost_for_the_weight
limits.memory_bytes_max tests/tests/manifest_keys.rs limits_are_for_all_plugins_and_for_one
limits.call_time_ms_max tests/tests/manifest_keys.rs limits_are_for_all_plugins_and_for_one
limits.wall_time_ms_max host/plugin/tests/sandbox/hostile.rs sleeping_for_ever_is_stopped
limits.init_time_ms_max host/plugin/tests/sandbox/hostile.rs a_loop_in_init_is_stopped
limits.tensors_max host/plugin/tests/sandbox/hostile.rs leaked_handles_are_limited_and_never_kept
limits.tensor_axes_max host/plugin/tests/sandbox/hostile.rs what_passes_to_the_host_is_limited
limits.output_bytes_max host/plugin/tests/sandbox/hostile.rs what_passes_to_the_host_is_limited
limits.hostcall_bytes_max host/plugin/tests/sandbox/hostile.rs what_passes_to_the_host_is_limited
limits.model_calls_pending_max host/plugin/tests/sandbox/hostile_pending.rs calls_under_way_are_limited
limits.random_bytes_max host/plugin/tests/sandbox/hostile.rs random_numbers_are_limited
limits.resources_max host/plugin/tests/sandbox/hostile_models.rs kept_handles_of_models_are_limited
limits.host_calls_max host/plugin/tests/sandbox/hostile_models.rs floods_of_host_calls_are_stopped
limits.model_calls_max host/plugin/tests/sandbox/hostile_models.rs endless_calls_to_a_model_are_limited
limits.log_bytes_max host/plugin/tests/sandbox/hostile.rs floods_of_log_are_cut_and_harmless
limits.message_bytes_max tests/tests/every_key.rs long_errors_of_plugins_are_cut
registry.model_bytes_max tests/tests/models/keys.rs files_of_keys_stay_within_the_budget_of_bytes
registry.tune_time_ms_max host/registry/src/tune/search.rs more_time_is_more_trials_and_is_kept_to
server.listen tests/tests/command_line/ends.rs an_address_in_use_is_named
server.admin tests/tests/repository.rs nothing_is_changed_without_leave
server.admin_listen tests/tests/repository.rs calls_that_change_models_may_have_an_address_of_their_own
server.body_bytes_max tests/tests/manifest_keys.rs the_limits_of_the_server_are_told_to_its_clients
server.held_bytes_max host/server/tests/wire/limits.rs held_bytes_over_the_limit_are_503
server.inflight_max tests/tests/manifest_keys.rs the_limits_of_the_server_are_told_to_its_clients
server.rows_max tests/tests/manifest_keys.rs the_limits_of_the_server_are_told_to_its_clients
server.gzip_members_max host/server/src/http/coding.rs gzip_members_are_counted_however_small
server.json_depth_max host/server/tests/wire/limits.rs deep_json_is_refused
server.connections_max host/server/tests/wire/limits.rs connections_over_the_limit_are_503
server.streams_max tests/tests/host_keys.rs streams_of_a_connection_are_bounded
server.header_read_timeout_ms host/server/tests/wire/limits.rs a_connection_that_says_nothing_is_closed
server.idle_timeout_ms host/server/tests/wire/limits.rs an_idle_connection_is_closed
server.request_timeout_ms tests/tests/manifest_keys.rs the_limits_of_the_server_are_told_to_its_clients
server.response_timeout_ms host/server/tests/wire/limits.rs a_response_that_is_not_read_is_dropped
server.drain_timeout_ms tests/tests/command_line/ends.rs a_drain_has_a_limit
job.inflight_max host/job/tests/files.rs no_more_than_the_limit_is_in_flight
job.inflight_bytes_max host/job/tests/files.rs whole_files_within_a_budget_and_a_limit
job.call_examples_max tests/tests/manifest_keys.rs instances_are_fresh_unless_they_are_reused
job.line_bytes_max tests/tests/manifest_keys.rs a_line_over_its_limit_is_a_dead_letter_that_names_it
job.read_threads_max host/job/src/load.rs no_more_threads_read_than_are_allowed
job.call_timeout_ms tests/tests/host_keys.rs an_example_of_a_job_has_its_time
job.ordered host/job/tests/lines.rs ordered_is_the_order_of_the_input_and_unordered_that_of_answers
job.retries_max tests/tests/host_keys.rs what_may_pass_is_tried_again_as_often_as_the_job_says
job.fail_fast host/job/tests/rows.rs the_first_failure_ends_a_job_that_is_to_fail_fast
job.include_example host/job/tests/rows.rs an_example_may_come_with_its_prediction_and_a_long_one_is_cut_off
job.part_examples_max host/job/tests/resume.rs an_interrupted_job_keeps_its_parts_and_goes_on
job.cancel_grace_ms host/job/tests/stops.rs what_does_not_finish_in_the_grace_is_a_dead_letter
job.write_grace_ms host/job/tests/stops.rs a_reader_that_takes_nothing_does_not_hold_up_a_cancelled_job
job.queue_full_patience_ms host/job/src/answer.rs patience_with_a_full_queue_ends
sandbox.instances_max host/plugin/tests/sandbox/behaviour.rs waiting_for_an_instance_ends_at_the_deadline
sandbox.idle_instances_max host/plugin/tests/sandbox/behaviour.rs no_more_idle_instances_are_kept_than_allowed
sandbox.idle_time_ms_max host/plugin/tests/sandbox/behaviour.rs old_idle_instances_end
sandbox.epoch_tick_ms tests/tests/host_keys.rs plugins_are_looked_at_once_a_tick
sandbox.stack_bytes_max tests/tests/host_keys.rs recursion_is_as_deep_as_the_stack_allows
cache.dir tests/tests/manifest_keys.rs the_cache_of_the_manifest_is_used_unless_forbidden
cache.bytes_max host/plugin/src/cache.rs what_was_used_longest_ago_is_deleted_first
";

/// Limits of plugins that the smallest value reaches while a plugin is loaded.
const AT_LOAD: [(&str, &str); 7] = [
    ("table_elements_max", "0"),
    ("core_instances_max", "1"),
    ("memories_max", "0"),
    ("tables_max", "0"),
    ("wasm_bytes_max", "8"),
    ("function_bytes_max", "1"),
    ("asset_bytes_max", "0"),
];

/// The keys of the schema, the names in between as `*`.
fn schema_keys() -> BTreeSet<String> {
    let ran = run(consort().arg("schema"));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let mut keys = BTreeSet::new();
    let schema = serde_json::from_str(&ran.stdout).unwrap();
    collect(&schema, String::new(), &mut keys);
    // The same table as `[limits]`: `limits_are_for_all_plugins_and_for_one` shows both.
    keys.retain(|key| !key.starts_with("plugin.*.limits."));
    keys
}

fn collect(schema: &Value, path: String, keys: &mut BTreeSet<String>) {
    let is_table = |schema: &Value| !schema["properties"].is_null();
    let schema = match is_table(&schema["items"]) {
        true => &schema["items"],
        false => schema,
    };
    let inside = &schema["additionalProperties"];
    if let Some(tables) = schema["properties"].as_object() {
        for (name, inner) in tables {
            let dot = if path.is_empty() { "" } else { "." };
            collect(inner, format!("{path}{dot}{name}"), keys);
        }
    } else if is_table(inside) || inside["additionalProperties"].is_object() {
        collect(inside, format!("{path}.*"), keys);
    } else {
        keys.insert(path);
    }
}

#[test]
fn every_key_has_a_test_of_its_effect() {
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in KEYS.lines().filter(|line| !line.is_empty()) {
        let [key, file, test] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("a line of KEYS is KEY FILE TEST: {line:?}");
        };
        let source = fs::read_to_string(root().join(file)).unwrap_or_default();
        if !source.contains(&format!("fn {test}(")) {
            wrong.push(format!("{key}: there is no test {test} in {file}"));
        }
        if told.insert(key.to_owned(), test.to_owned()).is_some() {
            wrong.push(format!("{key} stands there twice"));
        }
    }
    let at_load = AT_LOAD.iter().map(|(key, _)| format!("limits.{key}"));
    for key in at_load {
        if told.insert(key.clone(), String::new()).is_some() {
            wrong.push(format!("{key} stands there twice"));
        }
    }
    let keys = schema_keys();
    assert!(keys.len() > 130, "{keys:?}");
    for key in keys.iter().filter(|key| !told.contains_key(*key)) {
        wrong.push(format!(
            "{key} has no test of its effect: write one that fails without it, and a line \
             \"{key} FILE TEST\" in KEYS of tests/tests/every_key.rs"
        ));
    }
    for key in told.keys().filter(|key| !keys.contains(*key)) {
        wrong.push(format!("{key} is no key: take its line out"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn limits_that_loading_reaches() {
    for (key, value) in AT_LOAD {
        let keys = "assets = { \"a.txt\" = \"asset.txt\" }\n";
        let step = "[[ensemble.e.step]]\nplugin = \"echo\"\n";
        let plugin = format!("[plugin.echo]\npath = {:?}\n{keys}", guest("echo"));
        let place = Place::new(&format!("[limits]\n{key} = {value}\n{plugin}{step}"));
        place.write("asset.txt", b"read");
        place.refused(&[key]);
    }
}

#[test]
fn names_and_versions_are_told_as_they_are_written() {
    let place = Place::new(
        "[model.m]\npath = \"m.onnx\"\nmetrics_namespace = \"Ours\"\n\
         [ensemble.e]\nversion = \"9.1\"\n[[ensemble.e.step]]\nmodel = \"m\"\n",
    );
    place.write("m.onnx", &onnx::plus(1.0));
    let server = place.serve();
    assert_eq!(
        server.get("/v2/models/e").json()["versions"],
        json!(["9.1"])
    );
    let (status, body) = infer(&server, "e", &numbers("x", &[1.0]));
    assert_eq!((status, &body["model_version"]), (200, &json!("9.1")));
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("Ours"), "{metrics}");
}

#[test]
fn a_remote_version_is_asked_for() {
    let back = Place::new("[model.near]\npath = \"v\"\nversions = \"all\"\n");
    for number in [1, 2] {
        back.write(&format!("v/{number}.onnx"), &onnx::plus(number as f32));
    }
    let back = back.serve();
    let front = Place::new(&format!(
        "[model.far]\nruntime = \"remote\"\nurl = \"http://{}\"\nremote_name = \"near\"\n\
         remote_version = \"1\"\n",
        back.address
    ));
    let line = json!({"key": "k", "inputs": {"x": 0.0}});
    let (predicted, dead) = front.predicted("far", &[line]);
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!(predicted[0]["outputs"]["y"], 1.0);
    let (_, latest) = infer(&back, "near", &numbers("x", &[0.0]));
    assert_eq!(latest["outputs"][0]["data"][0], 2.0);
}

#[test]
fn columns_become_tensors_and_keys() {
    let place = Place::new(
        "[model.m]\npath = \"m.onnx\"\n[ensemble.e]\ncolumns = { x = \"Height\" }\n\
         key_column = \"Name\"\n[[ensemble.e.step]]\nmodel = \"m\"\n",
    );
    place.write("m.onnx", &onnx::plus(0.5));
    place.write("in.csv", b"Name,Height,Other\nann,1.5,z\nbo,2,y\n");
    let mut command = place.command("run");
    command.args(["--ensemble", "e", "--ordered", "--input", "in.csv"]);
    let ran = run(command.args(["--output", "out.jsonl"]));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let lines = place.lines("out.jsonl");
    let told = lines
        .iter()
        .map(|line| (&line["key"], &line["outputs"]["y"]));
    let told: Vec<_> = told.collect();
    assert_eq!(
        told,
        [(&json!("ann"), &json!(2.0)), (&json!("bo"), &json!(2.5))]
    );
}

#[test]
fn long_errors_of_plugins_are_cut() {
    let told = |bytes: usize| {
        let name = "init_error";
        let config = format!("config = \"{}\"\n", "long ".repeat(100));
        let limits = format!("limits = {{ message_bytes_max = {bytes} }}\n");
        let step = format!("[[ensemble.e.step]]\nplugin = \"{name}\"\n");
        let plugin = format!("[plugin.{name}]\npath = {:?}\n", guest(name));
        let place = Place::new(&format!("{plugin}{config}{limits}{step}"));
        let ran = run(&mut place.command("check"));
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        ran.stderr.matches("long ").count()
    };
    let (short, whole) = (told(64), told(2_000));
    // The manifest's own line is shown beside it, as it is.
    assert!(whole >= short + 80, "{short} of {whole}");
}
