//! consort-job.
