//! Wrong tokens are limited for each address, and those who have the right one are not locked out.

use anyhow::Result;
use muster_tests::door::{self, knock};
use muster_tests::lab::Lab;
use muster_tests::pki;
use muster_tests::player::enroll_request;
use tonic::Code;

use super::runtime;

const FEW: &str = "[listeners]\nwrong_tokens = 3\nwrong_token_period = '1h'\n";

/// The value of a metric of wrong tokens.
fn wrong(lab: &Lab, listener: &str) -> Result<f64> {
    super::metric(lab, &format!("muster_wrong_tokens_total{{listener=\"{listener}\"}}"))
}

/// A secret that is well formed and wrong.
fn secret(attempt: usize) -> String {
    format!("{}a", ["b", "c", "d", "e", "f", "g"][attempt].repeat(51))
}

#[test]
fn wrong_tokens_of_operators_are_not_tried_for_ever() -> Result<()> {
    let lab = Lab::start_with_settings(FEW)?;
    let admin = std::fs::read_to_string(lab.data_dir().join("admin.token"))?;
    lab.muster(&["status"])?.expect_code(0)?;
    runtime()?.block_on(async {
        let channel = door::channel(&lab.listening().operators, &lab.ca(), None).await?;
        let path = "/muster.v1.FleetService/GetBoard";
        for attempt in 0..6 {
            let guess = format!("admin.{}", secret(attempt));
            let refused = knock(channel.clone(), path, Some(&guess)).await.expect_err("a guess");
            let expected = if attempt < 3 { Code::Unauthenticated } else { Code::ResourceExhausted };
            assert_eq!(refused.code(), expected, "{attempt}: {refused:?}");
            assert!(!refused.message().contains(&guess), "{refused:?}");
        }
        // The holder of the right one at the same address is not locked out.
        knock(channel, path, Some(admin.trim())).await?;
        assert_eq!(wrong(&lab, "operators")?, 6.0);
        Ok(())
    })
}

#[test]
fn wrong_enrollment_tokens_are_not_tried_for_ever() -> Result<()> {
    let lab = Lab::start_with_settings(FEW)?;
    let token = lab.token(2, "1h")?;
    let parts: Vec<&str> = token.split('.').collect();
    runtime()?.block_on(async {
        let mut door = door::agents(&lab.listening().agents, &lab.ca(), None).await?;
        let (_, csr) = pki::request()?;
        door.enroll(enroll_request(&token, csr, "first")).await?;
        for attempt in 0..6 {
            let guess = [parts[0], &secret(attempt), parts[2]].join(".");
            let (_, csr) = pki::request()?;
            let refused = door.enroll(enroll_request(&guess, csr, "guesser")).await.expect_err("a guess");
            let expected = if attempt < 3 { Code::Unauthenticated } else { Code::ResourceExhausted };
            assert_eq!(refused.code(), expected, "{attempt}: {refused:?}");
        }
        // Ten thousand hosts of an office have one address and one token.
        let (_, csr) = pki::request()?;
        door.enroll(enroll_request(&token, csr, "second")).await?;
        assert_eq!(wrong(&lab, "agents")?, 6.0);
        Ok(())
    })
}
