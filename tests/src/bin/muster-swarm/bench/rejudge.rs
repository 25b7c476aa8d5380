//! How long a change of the rules takes: from the signal until every host has been judged by the new rules.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::collector::Collector;
use super::progress;

/// A product that no host of the fleet has. The rules have a new version with it, so every host is judged again.
const PRODUCT: &str = r#"
id = "bench-product"
name = "Bench Product"
vendor = "Bench"
category = "antivirus"
detection_content = "signatures"
family = "bench-product"
revised = 2026-11-28
sources = ["https://example.com/bench"]

[[recogniser]]
platforms = ["linux"]
kinds = ["deb"]
strength = "proves"
shows = "installed"
key = ["no-host-of-the-bench-has-this"]
"#;

/// Changes the rules and waits until no host is queued. Returns how long that took.
pub(crate) async fn measure(collector: &Collector) -> Result<Duration> {
    let began = Instant::now();
    collector.add_rule("bench-product.toml", PRODUCT).await?;
    let in_force = began.elapsed();
    collector.judged().await?;
    let all = began.elapsed();
    progress(&format!("new rules: in force after {in_force:.1?}, every host judged after {all:.1?}"));
    Ok(all)
}
