//! A collector with few file descriptors keeps enough of them for the store, the operators and the probes.

use anyhow::Result;
use muster_tests::bare::{self, LOOPBACK};
use muster_tests::lab::Lab;

use super::{assert_delivers, metric, runtime};
use muster_tests::player::Player;

#[test]
fn more_connections_than_descriptors_stop_nothing() -> Result<()> {
    let mut lab = Lab::start_with_descriptors(320, "[listeners]\nfirst_request = '1h'\nreserved_descriptors = 256\n")?;
    runtime()?.block_on(async {
        let mut silent = Vec::new();
        let mut sockets = Vec::new();
        for listener in [&lab.listening().agents, &lab.listening().operators] {
            for _ in 0..100 {
                silent.push(bare::tls(listener, LOOPBACK, &lab.ca(), None).await?);
                sockets.push(bare::socket(listener, LOOPBACK).await?);
            }
        }
        for _ in 0..400 {
            sockets.push(bare::socket(&lab.listening().probes, LOOPBACK).await?);
        }
        assert_delivers(&mut Player::enroll(&lab, "honest").await?, &["adduser", "dpkg"]).await?;
        lab.muster(&["status"])?.expect_code(0)?;
        assert_eq!(lab.probe("/readyz")?.0, 200);
        // 64 are left after the reserve, and operators get a quarter of them.
        for (listener, limit) in [("agents", 48.0), ("operators", 16.0), ("probes", 64.0)] {
            assert_eq!(metric(&lab, &format!("muster_connections_limit{{listener=\"{listener}\"}}"))?, limit);
            let open = metric(&lab, &format!("muster_connections{{listener=\"{listener}\"}}"))?;
            assert!(open <= limit, "{open} at {listener}");
        }
        anyhow::Ok(())
    })?;
    let output = lab.collector()?.output();
    assert!(!output.contains("accepting a connection failed"), "{output}");
    Ok(())
}
