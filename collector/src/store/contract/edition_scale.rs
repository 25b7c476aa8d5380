//! Figures of a large dictionary: its memory, and the time of a start and of searches. Run by hand:
//! `MUSTER_EDITIONS=1000000 cargo test --release -p muster-collector --lib edition_scale -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use muster_proto::model::{Kind, Observation, Platform, Section, SourceName};

use super::Backend;
use super::kit::{delivery, enrolled};
use super::software::query;
use crate::store::{Delivered, SearchBudget, SearchLimits, SoftwareQuery};

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

/// A section of 20,000 packages that nobody else has: ten versions of each of two thousand.
fn section(number: usize) -> Section {
    let package = |n: usize| Observation {
        version: format!("{}.{}.{}-{}", n % 10, number % 7, n % 23, n % 5),
        vendor: "Debian".to_owned(),
        id: format!("lib{}-{number}:amd64", n / 10),
        state: "install ok installed".to_owned(),
        ..Observation::new(Kind::Deb, format!("lib{}-{number}", n / 10))
    };
    Section::new(Platform::Linux, SourceName::Dpkg, (0..20_000).map(package).collect())
}

pub(crate) async fn edition_scale(backend: impl Backend) {
    let wanted: usize = std::env::var("MUSTER_EDITIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let (store, began) = (backend.open(), Instant::now());
    enrolled(&store, 1).await;
    for number in 0..wanted.div_ceil(20_000) {
        let all = [section(number)];
        let seq = number as u64 + 1;
        let answer = store.snapshot_deliver(delivery(1, seq, 10 + seq, &all, &all)).await.expect("delivers");
        assert_eq!(answer, Delivered::Accepted);
    }
    println!("delivered in {:?}", began.elapsed());
    store.close().await.expect("closes");
    drop(store);
    let (before, began) = (resident(), Instant::now());
    let store = backend.open();
    let opened = began.elapsed();
    // On PostgreSQL the first use reads the dictionary.
    let level = store.editions_level().await.expect("tells");
    let (took, more) = (began.elapsed(), resident().saturating_sub(before));
    let of_a_million = |bytes: u64| bytes as f64 / level.held.editions as f64 * 1e6 / 1_048_576.0;
    println!(
        "{} editions, {} bytes of text: opened in {opened:?}, ready in {took:?}; MiB for a million: {:.1} in the dictionary, \
         {:.1} resident more",
        level.held.editions,
        level.held.text_bytes,
        of_a_million(level.memory_bytes),
        of_a_million(more),
    );
    let limits = SearchLimits { rows: 20_000_000, bytes: 128 << 20, time: Duration::from_secs(10) };
    for text in ["lib1999-0", "lib19", "li", "nothing of this name"] {
        let before = resident();
        let mut took = Vec::new();
        let mut told = String::new();
        for _ in 0..20 {
            let budget = SearchBudget::new(limits, None);
            let began = Instant::now();
            told = match store.software_find(SoftwareQuery { budget, ..query(text) }).await {
                Ok(found) => format!("{} editions and {} more", found.editions.len(), found.more_editions),
                Err(ended) => ended.to_string(),
            };
            took.push(began.elapsed());
        }
        took.sort();
        let more = resident().saturating_sub(before);
        println!("search {text:?}: median {:?}, longest {:?}, {more} bytes resident more: {told}", took[10], took[19]);
    }
}
