//! Every limit is a setting, and every numeric setting is in `/metrics`.

use anyhow::Result;
use muster_tests::lab::Lab;

#[test]
fn a_limit_is_in_the_metrics_as_it_was_set() -> Result<()> {
    let lab = Lab::start_with_settings("[agents]\nconnections = 321\n[pace]\nnext = '2m'\n")?;
    let (status, text) = lab.probe("/metrics")?;
    assert_eq!(status, 200);
    for line in ["muster_limit{setting=\"agents.connections\"} 321.0", "muster_limit{setting=\"pace.next\"} 120.0"] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
    Ok(())
}
