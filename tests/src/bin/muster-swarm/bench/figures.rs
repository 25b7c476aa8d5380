//! The figures of a bench, as they are printed.

use serde::Serialize;

use super::collector::Build;
use super::footprint::ImageFleet;
use super::lists::ListFigures;
use super::memory::MemoryAfter;
use super::{Pair, Sizes};
use crate::render::rounded;
use crate::statistics::{Tally, ratio};

/// All of standard output.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a> {
    pub(crate) runs: &'a [Run],
}

/// The result for one store. Scripts read these names.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    store: &'static str,
    build: Build,
    cores: usize,
    full_report_ratio: f64,
    checkin_ratio: f64,
    checkin_kept_ratio: f64,
    full_reports_per_s: f64,
    /// Not counting the time until the judge queue was empty.
    full_acknowledged_per_s: f64,
    checkins_per_s: f64,
    checkins_kept_per_s: f64,
    echo_full_per_s: f64,
    echo_fresh_per_s: f64,
    echo_kept_per_s: f64,
    /// Size of the database less that of a new one, divided by the hosts; the same below.
    bytes_per_host_images: u64,
    bytes_per_host_distinct: u64,
    judge_queue_lag_p99_ms: u64,
    full_report_p50_ms: f64,
    full_report_p99_ms: f64,
    /// The same with administrative transactions, divided by the one without; 0 if there were none.
    full_report_p99_admin_ratio: f64,
    admin_transactions: u64,
    checkin_p99_ms: f64,
    checkin_kept_p99_ms: f64,
    full_report_bytes: u64,
    hosts_distinct: u64,
    hosts_images: u64,
    enrollments_per_s: f64,
    enrollments_images_per_s: f64,
    first_reports_images_per_s: f64,
    /// From the change of the rules until every host has been judged.
    rejudge_s: f64,
    rejudged_hosts: u64,
    lists: Vec<ListFigures>,
    /// Reports a second while lists with `with_reports` were read.
    lists_reports_per_s: f64,
    memory: Vec<MemoryAfter>,
    /// CPU time of the server for one call, in microseconds.
    cpu_us: CpuPerCall,
    pub(crate) failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_failure: Option<String>,
}

/// CPU time of the servers for one call, in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct CpuPerCall {
    full: f64,
    echo_full: f64,
    fresh: f64,
    echo_fresh: f64,
    kept: f64,
    echo_kept: f64,
}

/// The results of the fleet of distinct hosts.
#[derive(Debug)]
pub(crate) struct DistinctFleet {
    pub(crate) hosts: u64,
    pub(crate) enrolled: Tally,
    pub(crate) full: Pair,
    pub(crate) fresh: Pair,
    pub(crate) kept: Pair,
    pub(crate) lag_p99_ms: u64,
    pub(crate) full_report_bytes: u64,
    pub(crate) bytes_per_host: u64,
    pub(crate) memory: Vec<MemoryAfter>,
}

impl Run {
    /// The figures of both fleets on one store.
    pub(crate) fn of(
        store: &'static str,
        build: Build,
        sizes: Sizes,
        distinct: DistinctFleet,
        images: ImageFleet,
    ) -> Self {
        let DistinctFleet { hosts, enrolled, full, fresh, kept, .. } = distinct;
        let p99 = |tally: &Tally| tally.percentile_ms(0.99);
        let mut run = Self {
            store,
            build,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            full_report_ratio: full.ratio(),
            checkin_ratio: fresh.ratio(),
            checkin_kept_ratio: kept.ratio(),
            full_reports_per_s: rounded(full.measured.per_second()),
            full_acknowledged_per_s: rounded(full.measured.tally.per_second()),
            checkins_per_s: rounded(fresh.measured.per_second()),
            checkins_kept_per_s: rounded(kept.measured.per_second()),
            echo_full_per_s: rounded(full.echo.per_second()),
            echo_fresh_per_s: rounded(fresh.echo.per_second()),
            echo_kept_per_s: rounded(kept.echo.per_second()),
            bytes_per_host_images: images.bytes_per_host,
            bytes_per_host_distinct: distinct.bytes_per_host,
            judge_queue_lag_p99_ms: distinct.lag_p99_ms,
            full_report_p50_ms: rounded(full.measured.tally.percentile_ms(0.5)),
            full_report_p99_ms: rounded(p99(&full.measured.tally)),
            full_report_p99_admin_ratio: rounded(ratio(p99(&full.administered.tally), p99(&full.measured.tally))),
            admin_transactions: full.admin_transactions,
            checkin_p99_ms: rounded(p99(&fresh.measured.tally)),
            checkin_kept_p99_ms: rounded(p99(&kept.measured.tally)),
            full_report_bytes: distinct.full_report_bytes,
            hosts_distinct: hosts,
            hosts_images: sizes.image_hosts,
            enrollments_per_s: rounded(enrolled.per_second()),
            enrollments_images_per_s: rounded(images.enrollments_per_s),
            first_reports_images_per_s: rounded(images.first_reports_per_s),
            rejudge_s: rounded(images.rejudge_s),
            rejudged_hosts: images.rejudged_hosts,
            lists: images.lists.figures,
            lists_reports_per_s: images.lists.reports_per_s,
            memory: distinct.memory.into_iter().chain(images.memory).collect(),
            cpu_us: CpuPerCall {
                full: full.measured.cpu_us(),
                echo_full: full.echo.cpu_us(),
                fresh: fresh.measured.cpu_us(),
                echo_fresh: fresh.echo.cpu_us(),
                kept: kept.measured.cpu_us(),
                echo_kept: kept.echo.cpu_us(),
            },
            failed: images.lists.failed,
            first_failure: images.lists.first_failure,
        };
        let sides = |pair: Pair| [pair.measured.tally, pair.administered.tally, pair.echo.tally];
        for tally in [full, fresh, kept].into_iter().flat_map(sides) {
            run.failed += tally.failed;
            run.first_failure = run.first_failure.take().or(tally.first_failure);
        }
        run
    }
}
