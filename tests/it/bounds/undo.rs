//! What an operator undoes takes effect at the next call of each host, on every collector.

use anyhow::{Context, Result, ensure};
use muster_tests::eventually;
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::player::{Player, snapshot_of};
use muster_tests::postgres::Server;
use tonic::Code;

use muster_tests::canned::Root;

#[test]
fn a_host_that_one_collector_revokes_is_refused_by_the_other_until_it_is_released() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let server = Server::shared()?;
    let database = server.database()?;
    let first = Lab::start_on(&database.url())?;
    let second = first.join()?;
    let mut player = runtime.block_on(Player::enroll(&first, "web-1"))?;
    runtime.block_on(player.reconnect(&second.listening().agents, &second.ca()))?;
    let (snapshot, sections) = snapshot_of(&["adduser", "dpkg"]);
    // The other collector knows the host now, and would go on from memory.
    ensure!(runtime.block_on(player.deliver(&snapshot, &sections))?, "acknowledged");
    let host = player.host.to_string();
    first.muster(&["hosts", "revoke", &host, "--reason", "stolen, ticket 12"])?.expect_code(0)?;
    eventually("the other collector refuses the host", PATIENCE, || {
        Ok(runtime
            .block_on(player.check_in(&snapshot))
            .err()
            .filter(|refused| refused.code() == Code::PermissionDenied))
    })?;
    let listed = second.muster(&["hosts", "--revoked", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(listed["total"] == 1 && listed["hosts"][0]["marks"][0] == "revoked", "{listed}");
    let shown = second.muster(&["host", "web-1"])?.stdout;
    ensure!(shown.contains("revoked since") && shown.contains("stolen, ticket 12"), "{shown}");
    let status = second.muster(&["status"])?.expect_code(0)?.stdout;
    ensure!(status.contains("1 (1 revoked)"), "{status}");
    let ledger = second.muster(&["ledger", "--kind", "hosts-revoked"])?.expect_code(0)?.stdout;
    ensure!(ledger.contains("web-1") && ledger.contains("stolen, ticket 12"), "{ledger}");
    second.muster(&["hosts", "release", "web-1", "--reason", "found"])?.expect_code(0)?;
    eventually("the host reports again", PATIENCE, || Ok(runtime.block_on(player.check_in(&snapshot)).ok()))?;
    let listed = first.muster(&["hosts", "--revoked", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(listed["total"] == 0, "{listed}");
    Ok(())
}

#[test]
fn all_hosts_of_a_stolen_token_are_revoked_at_once_and_an_agent_continues_after_its_release() -> Result<()> {
    let lab = Lab::start()?;
    let token = lab.token(2, "1h")?;
    let id = token.split('.').next().context("a token has an id")?;
    let root = Root::debian("one")?;
    let agents = [lab.agent("one"), lab.agent("two")];
    for agent in &agents {
        agent.enroll(&token)?.expect_code(0)?;
        agent.report(root.path())?;
    }
    lab.enrolled_agent("other")?.report(root.path())?;
    let wrong = lab.muster(&["hosts", "revoke", "--enrolled-with", "nobody", "--reason", "stolen"])?.expect_code(1)?;
    ensure!(wrong.stderr.contains("no enrollment token \"nobody\""), "{}", wrong.stderr);
    let wrong = lab.muster(&["hosts", "revoke", "--enrolled-with", id])?.expect_code(2)?;
    ensure!(wrong.stderr.contains("--reason"), "{}", wrong.stderr);
    let done = lab.muster(&["hosts", "revoke", "--enrolled-with", id, "--reason", "stolen", "-o", "json"])?;
    let done = done.expect_code(0)?.json()?;
    ensure!(done["changed"] == 2 && done["unchanged"] == 0, "{done}");
    let listed = lab.muster(&["hosts", "--enrolled-with", id, "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(listed["total"] == 2, "{listed}");
    let refused = agents[0].once(root.path())?.expect_code(1)?;
    ensure!(refused.stderr.contains("the keys of this host are revoked"), "{}", refused.stderr);
    ensure!(refused.stderr.contains("ask an operator to release it"), "{}", refused.stderr);
    lab.muster(&["hosts", "release", "--enrolled-with", id, "--reason", "it was not stolen"])?.expect_code(0)?;
    agents[0].report(root.path())?;
    Ok(())
}

#[test]
fn a_purged_host_is_refused_and_counted_and_its_machine_enrolls_again() -> Result<()> {
    let lab = Lab::start()?;
    let token = lab.token(2, "1h")?;
    let root = Root::debian("one")?;
    let agent = lab.agent("one");
    agent.enroll(&token)?.expect_code(0)?;
    agent.report(root.path())?;
    let name = lab.muster(&["hosts", "-o", "json"])?.expect_code(0)?.json()?["hosts"][0]["id"].clone();
    let id = name.as_str().context("a host has an id")?;
    let wrong = lab.muster(&["hosts", "purge", id])?.expect_code(2)?;
    ensure!(wrong.stderr.contains("--reason"), "{}", wrong.stderr);
    let wrong = lab.muster(&["hosts", "purge", id, "--reason", " "])?.expect_code(1)?;
    ensure!(wrong.stderr.contains("reason"), "{}", wrong.stderr);
    let done =
        lab.muster(&["hosts", "purge", id, "--reason", "sold, ticket 7", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(done["changed"] == 1 && done["removed"]["snapshots"] == 1, "{done}");
    ensure!(done["removed"]["sections"].as_u64().is_some_and(|sections| sections > 0), "{done}");
    let refused = agent.once(root.path())?.expect_code(1)?;
    ensure!(refused.stderr.contains("the keys of this host are revoked"), "{}", refused.stderr);
    let listed = lab.muster(&["hosts", "--purged", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(listed["total"] == 1 && listed["hosts"][0]["marks"][1] == "purged", "{listed}");
    let ledger = lab.muster(&["ledger", "--kind", "hosts-purged"])?.expect_code(0)?.stdout;
    ensure!(ledger.contains("sold, ticket 7") && ledger.contains("removed snapshots: 1"), "{ledger}");
    let found = lab.muster(&["software", "adduser", "-o", "json"])?.expect_code(0)?.stdout;
    ensure!(!found.contains(id), "{found}");
    // Another agent of the same machine has another key.
    let anew = lab.agent("two");
    anew.enroll(&token)?.expect_code(0)?;
    anew.report(root.path())?;
    let listed = lab.muster(&["hosts", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(listed["total"] == 2, "{listed}");
    Ok(())
}
