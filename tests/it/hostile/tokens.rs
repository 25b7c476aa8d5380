//! Enrollment tokens that are used up, expired, revoked, for another collector, or no tokens: what the person sees who
//! runs `muster-agent enroll`.

use anyhow::{Context, Result};
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::process::Answer;
use muster_tests::{canned::Root, eventually};

/// Refused with an exit code of 1 and a sentence that says why, without the secret; and nothing is left behind that
/// would pass for an enrollment.
fn assert_refused(lab: &Lab, name: &str, token: &str, reasons: &[&str]) -> Result<()> {
    let agent = lab.agent(name);
    let answer = agent.enroll(token)?.expect_code(1).context(name.to_owned())?;
    let said = answer.stderr.to_lowercase();
    assert!(reasons.iter().any(|reason| said.contains(reason)), "{name}: {reasons:?} is not in {said:?}");
    if let Some(secret) = token.split('.').nth(1).filter(|secret| secret.len() > 20) {
        assert!(!answer.stderr.contains(secret) && !answer.stdout.contains(secret), "{name} prints the secret");
    }
    let root = Root::debian(name)?;
    assert_ne!(agent.once(root.path())?.code, Some(0), "{name} reports without being enrolled");
    Ok(())
}

#[test]
fn a_token_that_is_used_up_says_so() -> Result<()> {
    let lab = Lab::start()?;
    let token = lab.token(1, "1h")?;
    lab.agent("first").enroll(&token)?.expect_code(0)?;
    assert_refused(&lab, "second", &token, &["used"])
}

#[test]
fn a_token_with_two_uses_enrolls_two_machines() -> Result<()> {
    let lab = Lab::start()?;
    let token = lab.token(2, "1h")?;
    lab.agent("first").enroll(&token)?.expect_code(0)?;
    lab.agent("second").enroll(&token)?.expect_code(0)?;
    assert_refused(&lab, "third", &token, &["used"])?;
    Ok(())
}

#[test]
fn an_expired_token_says_so() -> Result<()> {
    let lab = Lab::start()?;
    let token = lab.token(1000, "1s")?;
    // The end of a second can only be waited for; the first refusal ends it. Always another machine: who is enrolled
    // already may retry for ever.
    let mut early = 0;
    eventually("the token ends", PATIENCE, || {
        early += 1;
        let answer = lab.agent(&format!("early-{early}")).enroll(&token)?;
        Ok((answer.code != Some(0)).then_some(()))
    })?;
    assert_refused(&lab, "late", &token, &["expired", "ended"])
}

#[test]
fn a_revoked_token_says_so() -> Result<()> {
    let lab = Lab::start()?;
    let token = lab.token(5, "1h")?;
    let id = token.split('.').next().context("a token has an id")?.to_owned();
    let mut revoke = lab.collector_command("tokens revoke")?;
    Answer::of(revoke.arg(&id))?.expect_code(0)?;
    assert_refused(&lab, "late", &token, &["revoked", "withdrawn"])
}

#[test]
fn a_token_of_another_collector_is_refused_before_anything_is_sent() -> Result<()> {
    let lab = Lab::start()?;
    let other = Lab::start()?;
    assert_refused(&lab, "lost", &other.token(1, "1h")?, &["pin", "another collector", "not the collector"])?;
    // The other collector's token is still good: its secret never left the machine.
    other.agent("found").enroll(&other.token(1, "1h")?)?.expect_code(0)?;
    Ok(())
}

#[test]
fn a_token_with_a_wrong_secret_is_unknown() -> Result<()> {
    let lab = Lab::start()?;
    let token = lab.token(1, "1h")?;
    let parts: Vec<&str> = token.split('.').collect();
    let [id, secret, pin] = parts[..] else {
        anyhow::bail!("a token is id.secret.ca-pin, and not {} parts", parts.len())
    };
    let wrong: String = secret.chars().rev().collect();
    assert_refused(&lab, "guesser", &format!("{id}.{wrong}.{pin}"), &["token"])?;
    // Guessing has not used the token up.
    lab.agent("rightful").enroll(&token)?.expect_code(0)?;
    Ok(())
}

#[test]
fn what_is_no_token_is_named_so() -> Result<()> {
    let lab = Lab::start()?;
    for (name, token) in [
        ("empty", ""),
        ("word", "hunter2"),
        ("dots", ".."),
        ("long", &"a".repeat(2000)),
        ("binary", "\u{1}.\u{2}.\u{3}"),
    ] {
        assert_refused(&lab, name, token, &["token"])?;
    }
    Ok(())
}

#[test]
fn enrolling_twice_with_one_key_is_one_host() -> Result<()> {
    let lab = Lab::start()?;
    let agent = lab.agent("twice");
    agent.enroll(&lab.token(1, "1h")?)?.expect_code(0)?;
    let root = Root::debian("twice")?;
    agent.report(root.path())?;
    // Whether it says "already enrolled" or renews itself is its own business; a second host is not.
    agent.enroll(&lab.token(1, "1h")?)?;
    agent.report(root.path())?;
    let hosts = lab.muster(&["hosts", "-o", "ndjson"])?.expect_code(0)?.ndjson()?;
    assert_eq!(hosts.len(), 1, "{hosts:?}");
    Ok(())
}
