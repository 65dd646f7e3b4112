//! The tables about the host itself: `[registry]`, `[tenant.NAME]`, `[server]`, `[job]`,
//! `[sandbox]`, `[cache]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::quiet::{Given, refuse_idle};
use super::{BYTES_MAX, COUNT_MAX, TIME_MS_MAX};
use crate::place::Located;
use crate::report::Report;
use crate::rule::number::{Bytes, Flag, Whole};
use crate::rule::text::{ADDRESS, FOLDER};
use crate::section::{Checked, Default, Optional, OwnName, independent, section};

section! {
    /// The models in memory.
    pub struct Registry {
        /// The most bytes of models that are loaded on demand, together: those of a model map's
        /// `path`, and with this key also those that its `keys` name. What was used longest ago
        /// goes first. Without it, as many as there are.
        pub model_bytes_max: Option<Located<u64>> = Optional(Bytes::new(1, BYTES_MAX));
        /// How long each model may be tried out for the best `replicas` and `threads` where
        /// they are `auto`, in milliseconds.
        pub tune_time_ms_max: Located<u64> = Default(Whole::new(1, TIME_MS_MAX, 2000), "2000");
    }
}

section! {
    /// Somebody whose examples wait in queues beside those of others.
    pub struct Tenant {
        /// The tenant's name.
        pub name: Located<String> = OwnName;
        /// The share of a model's time, against the weights of the others, while several
        /// tenants wait.
        pub weight: Located<u32> = Default(Whole::new(1, 1000, 2), "1");
    }
}

section! {
    /// How `consort serve` listens, and what it allows.
    pub struct Server {
        /// The IP address and port; `0.0.0.0` and `[::]` stand for all addresses, port 0
        /// for any free one.
        pub listen: Located<SocketAddr> = Default(ADDRESS, "\"127.0.0.1:8000\"");
        /// Whether operators may load, unload and roll back models by
        /// `POST /v2/repository/models/NAME/load`, `/unload` and `/rollback`. Whoever reaches
        /// the address may call them.
        pub admin: Located<bool> = Default(Flag, "false");
        /// The IP address and port for these calls alone. They are then refused on `listen`;
        /// everything else is served on both.
        pub admin_listen: Option<Located<SocketAddr>> = Optional(ADDRESS);
        /// The largest request body, compressed and decompressed alike.
        pub body_bytes_max: Located<u64> = Default(Bytes::new(1, BYTES_MAX), "\"64 MiB\"");
        /// All request bodies held at once, with what is decoded from them.
        pub held_bytes_max: Located<u64> = Default(Bytes::new(1, BYTES_MAX), "\"1 GiB\"");
        /// Inference requests under way at once. More are refused.
        pub inflight_max: Located<usize> = Default(Whole::new(1, COUNT_MAX, 1024), "1024");
        /// Rows of one inference request; each is an example.
        pub rows_max: Located<usize> = Default(Whole::new(1, COUNT_MAX, 8192), "8192");
        /// How deep JSON may nest.
        pub json_depth_max: Located<usize> = Default(Whole::new(4, 1000, 100), "100");
        /// Members of one gzip body; most have one.
        pub gzip_members_max: Located<usize> = Default(Whole::new(1, COUNT_MAX, 1024), "1024");
        /// Open connections. More are refused.
        pub connections_max: Located<usize> = Default(Whole::new(1, COUNT_MAX, 4096), "4096");
        /// Streams under way at once on one HTTP/2 connection.
        pub streams_max: Located<u32> = Default(Whole::new(1, 65_536, 256), "256");
        /// How long a new connection may take to send the head of its first request, in
        /// milliseconds.
        pub header_read_timeout_ms: Located<u64> =
            Default(Whole::new(1, TIME_MS_MAX, 30_000), "30000");
        /// How long a connection may stay open without a request, in milliseconds.
        pub idle_timeout_ms: Located<u64> = Default(Whole::new(1, TIME_MS_MAX, 300_000), "300000");
        /// How long a request may take, its upload included, in milliseconds.
        pub request_timeout_ms: Located<u64> =
            Default(Whole::new(1, TIME_MS_MAX, 30_000), "30000");
        /// How long a client may take to read a response, in milliseconds.
        pub response_timeout_ms: Located<u64> =
            Default(Whole::new(1, TIME_MS_MAX, 60_000), "60000");
        /// How long requests under way may take to finish at shutdown, in milliseconds.
        pub drain_timeout_ms: Located<u64> = Default(Whole::new(0, TIME_MS_MAX, 30_000), "30000");
    }
}

section! {
    /// What `consort run` may use.
    pub struct Job {
        /// The most examples between input and output.
        pub inflight_max: Located<usize> = Default(Whole::new(1, COUNT_MAX, 512), "512");
        /// The most bytes of input between input and answer.
        pub inflight_bytes_max: Located<u64> = Default(Bytes::new(1, BYTES_MAX), "\"256 MiB\"");
        /// The most examples handed to the ensemble at once. Without it the kind of the
        /// input decides.
        pub call_examples_max: Option<Located<usize>> = Optional(Whole::new(1, COUNT_MAX, 64));
        /// The longest line of input.
        pub line_bytes_max: Located<u64> = Default(Bytes::new(1, BYTES_MAX), "\"16 MiB\"");
        /// The most threads that read input at once.
        pub read_threads_max: Located<usize> = Default(Whole::new(1, 1024, 8), "8");
        /// How long one example may take, in milliseconds. Without it, as long as it
        /// takes.
        pub call_timeout_ms: Option<Located<u64>> = Optional(Whole::new(1, TIME_MS_MAX, 5000));
        /// Whether predictions are written in the order of the input.
        pub ordered: Located<bool> = Default(Flag, "false");
        /// How many tries may follow one that failed for a reason that may pass.
        pub retries_max: Located<u32> = Default(Whole::new(0, 100, 2), "2");
        /// Whether the first example that fails for good ends the job.
        pub fail_fast: Located<bool> = Default(Flag, "false");
        /// Whether each prediction is written with its example.
        pub include_example: Located<bool> = Default(Flag, "false");
        /// How many examples one part of the output holds; a job that is resumed goes on after
        /// the last part that is complete.
        pub part_examples_max: Located<u64> =
            Default(Whole::new(1, 1 << 40, 10_000), "10000");
        /// How long examples under way may take to finish after Ctrl-C, in milliseconds.
        pub cancel_grace_ms: Located<u64> = Default(Whole::new(0, TIME_MS_MAX, 10_000), "10000");
        /// How long writing may take after that, in milliseconds.
        pub write_grace_ms: Located<u64> = Default(Whole::new(0, TIME_MS_MAX, 10_000), "10000");
        /// How long a queue may stay full, without one answer, until refused examples
        /// fail, in milliseconds.
        pub queue_full_patience_ms: Located<u64> =
            Default(Whole::new(0, TIME_MS_MAX, 60_000), "60000");
    }
}

section! {
    /// The sandbox of all plugins together.
    pub struct Sandbox {
        /// Instances that exist at a time. Calls beyond it wait.
        pub instances_max: Located<u32> = Default(Whole::new(1, 65_536, 128), "128");
        /// Idle instances that are kept for plugins with `instances = "reuse"`.
        pub idle_instances_max: Located<u32> = Default(Whole::new(0, 65_536, 64), "64");
        /// How long an instance may be idle before it ends, in milliseconds.
        pub idle_time_ms_max: Located<u64> = Default(Whole::new(0, TIME_MS_MAX, 60_000), "60000");
        /// How often running plugins are looked at, in milliseconds: the grain of
        /// `call_time_ms_max`, and how long one plugin may keep a thread from others.
        pub epoch_tick_ms: Located<u64> = Default(Whole::new(1, 1000, 5), "5");
        /// Stack of one call. Deeper recursion stops the plugin.
        pub stack_bytes_max: Located<u64> =
            Default(Bytes::new(1 << 16, 1 << 26), "\"512 KiB\"");
    }
}

section! {
    /// Where compiled plugins are kept between starts.
    pub struct Cache {
        /// The folder, relative to the manifest. Without it the user's cache folder.
        pub dir: Option<Located<PathBuf>> = Optional(FOLDER);
        /// The size of the folder. What was used longest ago is deleted beyond it.
        pub bytes_max: Located<u64> = Default(Bytes::new(0, BYTES_MAX), "\"4 GiB\"");
    }
}

independent!(Registry, Tenant, Job, Sandbox, Cache);

// === impl Server ===

impl Checked for Server {
    type Keys = Self;

    fn check(server: Self, report: &mut Report) -> Option<Self> {
        if !*server.admin && !report.doubts(&server.admin) {
            let keys = [("admin_listen", server.admin_listen.given())];
            refuse_idle(&keys, "unless admin = true", "add admin = true", report);
        }
        Some(server)
    }
}
