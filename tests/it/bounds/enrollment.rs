//! How many hosts may enroll in a minute.

use anyhow::{Result, ensure};
use muster_tests::lab::Lab;

#[test]
fn a_host_beyond_the_bound_of_its_address_is_told_when_to_come_back() -> Result<()> {
    let lab = Lab::start_with_settings("[enrollment]\naddress_per_minute = 2\n")?;
    let token = lab.token(10, "1h")?;
    for name in ["one", "two"] {
        lab.agent(name).enroll(&token)?.expect_code(0)?;
    }
    let refused = lab.agent("three").enroll(&token)?.expect_code(1)?;
    ensure!(refused.stderr.contains("too many hosts enroll at once (enrollment.address_per_minute)"), "{refused:?}");
    ensure!(refused.stderr.contains("the service does so by itself"), "{refused:?}");
    let tokens = lab.muster(&["tokens", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(tokens[0]["uses"] == 2, "a refused host uses up nothing: {tokens}");
    let (_, metrics) = lab.probe("/metrics")?;
    ensure!(metrics.contains("muster_limit{setting=\"enrollment.address_per_minute\"} 2.0"), "{metrics}");
    Ok(())
}
