//! Enrollment with a token, and renewal of the certificate.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use muster_proto::wire::RenewRequest;
use muster_tests::canned::Root;
use muster_tests::door;
use muster_tests::lab::Lab;
use muster_tests::pki::{self, Authority, Flaw};
use muster_tests::player::{Player, enroll_request, snapshot_of};
use rcgen::SigningKey;
use tonic::Code;

fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Asserts that only the owner may read the files below the directory.
fn assert_owner_only(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let mode = std::fs::metadata(&path)?.permissions().mode();
        if path.is_dir() {
            assert_owner_only(&path)?;
        }
        let public =
            path.extension().is_some_and(|extension| ["pem", "json", "pub"].iter().any(|one| extension == *one));
        assert!(public || mode & 0o077 == 0, "{} has mode {:o}", path.display(), mode & 0o777);
    }
    Ok(())
}

#[test]
fn an_enrolled_agent_reports_and_knows_who_it_is() -> Result<()> {
    let lab = Lab::start()?;
    let agent = lab.enrolled_agent("web-1")?;
    agent.report(Root::debian("web-1")?.path())?;
    let hosts = lab.muster(&["hosts", "-o", "ndjson"])?.expect_code(0)?.ndjson()?;
    assert_eq!(hosts.len(), 1);
    assert_eq!(hosts[0]["hostname"], "web-1");
    assert_eq!(hosts[0]["site"], "lab");
    let status = muster_tests::process::Answer::of(&mut agent.command("status")?)?.expect_code(0)?;
    let id = hosts[0]["id"].as_str().context("a host without an id")?;
    assert!(status.stdout.contains(id), "{id} is not in {}", status.stdout);
    Ok(())
}

#[test]
fn an_image_enrolls_under_its_own_name_and_each_image_is_a_host() -> Result<()> {
    let lab = Lab::start()?;
    let mut ids = std::collections::BTreeSet::new();
    for (name, machine_id) in [("plant-7", "0123456789abcdef0123456789abcdef"), ("plant-8", "uninitialized")] {
        let image = Root::debian(name)?;
        std::fs::write(image.path().join("etc/machine-id"), format!("{machine_id}\n"))?;
        let agent = lab.agent(name);
        let token = agent.state_dir().with_extension("token");
        muster_tests::lab::write_owner_only(&token, &lab.token(1, "1h")?)?;
        let mut enroll = agent.command("enroll")?;
        enroll.args(["--collector", &format!("https://{}", lab.listening().agents)]).arg("--token-file").arg(&token);
        let answer = muster_tests::process::Answer::of(enroll.args(["-o", "json", "--root"]).arg(image.path()))?;
        let id = answer.expect_code(0)?.json()?["host_id"].as_str().context("no id")?.to_owned();
        // Before the first report, so the name comes from the enrollment. The exit code is that of the verdict.
        let shown = lab.muster(&["host", &id, "-o", "json"])?.json()?;
        assert_eq!(shown["facts"]["hostname"], name, "{shown}");
        agent.report(image.path())?;
        ids.insert(id);
    }
    assert_eq!(ids.len(), 2);
    let mut enroll = lab.agent("nowhere").command("enroll")?;
    let token = lab.agent("plant-7").state_dir().with_extension("token");
    let refused =
        muster_tests::process::Answer::of(enroll.args(["--root", "/nowhere/at/all", "--token-file"]).arg(token))?;
    let refused = refused.expect_code(1)?;
    assert!(refused.stderr.contains("/nowhere/at/all"), "{}", refused.stderr);
    Ok(())
}

#[test]
fn an_enrolled_agent_says_so_when_the_token_is_for_another_site() -> Result<()> {
    let lab = Lab::start()?;
    let agent = lab.enrolled_agent("web-1")?;
    let made = lab.muster(&["tokens", "create", "--site", "plant", "--uses", "1", "-o", "json"])?.expect_code(0)?;
    let made: serde_json::Value = serde_json::from_str(&made.stdout)?;
    let refused = agent.enroll(made["token"].as_str().context("no token")?)?.expect_code(1)?;
    for part in
        ["this host is enrolled in site lab, and the token is for site plant", "use a token for the site of this host"]
    {
        assert!(refused.stderr.contains(part), "no {part:?} in {}", refused.stderr);
    }
    agent.report(Root::debian("web-1")?.path())?;
    let hosts = lab.muster(&["hosts", "-o", "ndjson"])?.expect_code(0)?.ndjson()?;
    assert_eq!((hosts.len(), hosts[0]["site"].as_str()), (1, Some("lab")));
    Ok(())
}

#[test]
fn only_the_owner_may_read_the_files_of_agent_and_collector() -> Result<()> {
    let lab = Lab::start()?;
    let agent = lab.enrolled_agent("web-1")?;
    agent.report(Root::debian("web-1")?.path())?;
    assert_owner_only(agent.state_dir())?;
    assert_owner_only(&lab.data_dir())?;
    for secret in ["ca.key", "seal.key", "admin.token"] {
        let mode = std::fs::metadata(lab.data_dir().join(secret))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    Ok(())
}

#[test]
fn a_retried_enrollment_is_the_same_host() -> Result<()> {
    let lab = Lab::start()?;
    block_on(async {
        let token = lab.token(1, "1h")?;
        let (_, csr) = pki::request()?;
        let mut door = door::agents(&lab.listening().agents, &lab.ca(), None).await?;
        // The first answer was lost on the way. The same key tries again, although the token allowed one use.
        let first = door.enroll(enroll_request(&token, csr.clone(), "retry")).await?.into_inner();
        let second = door.enroll(enroll_request(&token, csr, "retry")).await?.into_inner();
        assert_eq!(first.host_id, second.host_id);
        let pace = second.pace.context("an answer without a pace")?;
        assert!(pace.next_ms > 0, "an answer without a time for the next call");
        Ok(())
    })
}

#[test]
fn a_certificate_is_renewed_by_proof_of_the_old_key() -> Result<()> {
    let lab = Lab::start()?;
    block_on(async {
        let mut player = Player::enroll(&lab, "renewed").await?;
        let old_key = rcgen::KeyPair::try_from(player.identity.key.as_slice())?;
        let (new_key, csr) = pki::request()?;
        let proof = old_key.sign(&[b"muster-renew-1", csr.as_slice()].concat())?;
        let request = RenewRequest {
            csr: csr.clone().into(),
            old_certificate: player.identity.certificate.clone().into(),
            proof: proof.into(),
        };
        let answer = player.door.renew(request.clone()).await?.into_inner();
        assert!(!answer.quarantined);
        // Both keys work until the new one has been used.
        let (snapshot, sections) = snapshot_of(&["dpkg"]);
        assert!(player.deliver(&snapshot, &sections).await?, "the old key ended too early");
        player.identity = pki::identity(&new_key, &answer.certificate);
        player.reconnect(&lab.listening().agents, &lab.ca()).await?;
        assert!(player.deliver(&snapshot, &sections).await?, "the new key does not work");
        // A proof by another key is invalid.
        let (other, _) = pki::request()?;
        let forged = other.sign(&[b"muster-renew-1", csr.as_slice()].concat())?;
        let refused =
            player.door.renew(RenewRequest { proof: forged.into(), ..request }).await.expect_err("a forged proof");
        assert!(
            matches!(refused.code(), Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument),
            "{refused:?}"
        );
        Ok(())
    })
}

#[test]
fn an_expired_but_known_certificate_is_renewed_into_quarantine() -> Result<()> {
    let lab = Lab::start()?;
    block_on(async {
        let player = Player::enroll(&lab, "late").await?;
        let key = rcgen::KeyPair::try_from(player.identity.key.as_slice())?;
        let authority = Authority::stolen(&lab.ca(), &lab.ca_key()?)?;
        let expired = authority.client_with_key(&player.host.to_string(), Flaw::Expired, key)?;
        let mut door = door::agents(&lab.listening().agents, &lab.ca(), Some(&expired)).await?;
        let (_, csr) = pki::request()?;
        let key = rcgen::KeyPair::try_from(player.identity.key.as_slice())?;
        let proof = key.sign(&[b"muster-renew-1", csr.as_slice()].concat())?;
        let request =
            RenewRequest { csr: csr.into(), old_certificate: expired.certificate.clone().into(), proof: proof.into() };
        let answer = door.renew(request).await?.into_inner();
        assert!(answer.quarantined, "a certificate that had ended was renewed as if nothing were");
        Ok(())
    })
}
