//! Connections that take slots and say nothing, or do not finish what they have begun: others are still served.

use std::net::IpAddr;

use anyhow::{Context, Result};
use muster_tests::bare::{self, Http2, LOOPBACK};
use muster_tests::eventually;
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::pki::{Authority, Flaw};
use muster_tests::player::{Player, snapshot_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{assert_delivers, metric, runtime};

const CHECK_IN: &str = "/muster.v1.AgentService/CheckIn";
const ENROLL: &str = "/muster.v1.AgentService/Enroll";
/// Another address of this machine, which no host of a test uses.
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
const WINDOW: u32 = 65_535;

fn closed(lab: &Lab, listener: &str, reason: &str) -> Result<f64> {
    metric(lab, &format!("muster_connections_closed_total{{listener=\"{listener}\",reason=\"{reason}\"}}"))
}

fn open(lab: &Lab, listener: &str) -> Result<f64> {
    metric(lab, &format!("muster_connections{{listener=\"{listener}\"}}"))
}

const FEW: &str = "[agents]\nconnections = 8\n[operators]\nconnections = 8\n[listeners]\nfirst_request = '1h'\n";

#[test]
fn silent_connections_in_every_slot_do_not_keep_others_out() -> Result<()> {
    let lab = Lab::start_with_settings(FEW)?;
    let runtime = runtime()?;
    let mut silent = Vec::new();
    runtime.block_on(async {
        for (name, listener) in [("agents", &lab.listening().agents), ("operators", &lab.listening().operators)] {
            for _ in 0..8 {
                silent.push(bare::tls(listener, LOOPBACK, &lab.ca(), None).await?);
            }
            assert_eq!(open(&lab, name)?, 8.0, "the silent connections have all slots");
        }
        assert_delivers(&mut Player::enroll(&lab, "honest").await?, &["adduser", "dpkg"]).await
    })?;
    lab.muster(&["status"])?.expect_code(0)?;
    assert_eq!(silent.len(), 16);
    for listener in ["agents", "operators"] {
        assert!(closed(&lab, listener, "slots_full")? >= 1.0, "{listener}");
    }
    Ok(())
}

#[test]
fn connections_of_hosts_are_not_closed_for_strangers() -> Result<()> {
    let lab = Lab::start_with_settings(FEW)?;
    runtime()?.block_on(async {
        let mut hosts = Vec::new();
        for name in ["one", "two", "three"] {
            hosts.push(Player::enroll(&lab, name).await?);
        }
        let mut silent = Vec::new();
        for _ in 0..40 {
            silent.push(bare::tls(&lab.listening().agents, ELSEWHERE, &lab.ca(), None).await?);
        }
        for host in &mut hosts {
            assert_delivers(host, &["adduser", "dpkg"]).await?;
        }
        // Two for each host, and one for each silent connection.
        let handshakes = metric(&lab, "muster_handshakes_total{listener=\"agents\",result=\"full\"}")?;
        assert_eq!(handshakes, 46.0, "the hosts kept their connections");
        assert!(open(&lab, "agents")? <= 8.0);
        Ok(())
    })
}

#[test]
fn strangers_of_one_address_give_way_to_the_next_ones_there() -> Result<()> {
    let lab = Lab::start_with_settings("[listeners]\nstrangers_per_address = 3\nfirst_request = '1h'\n")?;
    runtime()?.block_on(async {
        let mut silent = Vec::new();
        for _ in 0..5 {
            silent.push(bare::tls(&lab.listening().agents, ELSEWHERE, &lab.ca(), None).await?);
        }
        for oldest in &mut silent[..2] {
            // Whether it ends or is reset does not matter.
            let _ = oldest.read_to_end(&mut Vec::new()).await;
        }
        assert_eq!(closed(&lab, "agents", "address_limit")?, 2.0);
        Ok(())
    })
}

#[test]
fn sockets_that_stay_silent_take_no_place_of_a_handshake() -> Result<()> {
    let settings = "[agents]\nhandshakes = 1\nhandshake_timeout = '5m'\n[listeners]\nstranger_handshakes = 1\n";
    let lab = Lab::start_with_settings(settings)?;
    runtime()?.block_on(async {
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(bare::socket(&lab.listening().agents, LOOPBACK).await?);
        }
        let mut half = bare::socket(&lab.listening().agents, LOOPBACK).await?;
        // The beginning of a handshake that is never finished.
        half.write_all(&[0x16, 0x03, 0x01]).await?;
        Player::enroll(&lab, "honest").await?;
        Ok(())
    })
}

#[test]
fn handshakes_that_are_never_finished_leave_slots_to_others() -> Result<()> {
    let settings = "[agents]\nconnections = 8\nhandshake_timeout = '5m'\n[listeners]\nhandshake_turn = '5m'\n";
    let lab = Lab::start_with_settings(settings)?;
    runtime()?.block_on(async {
        let mut honest = Player::enroll(&lab, "honest").await?;
        let mut halves = Vec::new();
        for _ in 0..40 {
            let mut half = bare::socket(&lab.listening().agents, ELSEWHERE).await?;
            // It may be closed already for the next one.
            let _ = half.write_all(&[0x16, 0x03, 0x01]).await;
            halves.push(half);
        }
        honest.reconnect(&lab.listening().agents, &lab.ca()).await?;
        assert_delivers(&mut honest, &["adduser", "dpkg"]).await?;
        assert_eq!(metric(&lab, "muster_connections_refused_total{listener=\"agents\"}")?, 0.0);
        Ok(())
    })
}

#[test]
fn a_connection_without_a_request_is_closed() -> Result<()> {
    let lab = Lab::start_with_settings("[agents]\nhandshake_timeout = '1s'\n[listeners]\nfirst_request = '1s'\n")?;
    runtime()?.block_on(async {
        let mut silent = bare::tls(&lab.listening().agents, LOOPBACK, &lab.ca(), None).await?;
        let _ = silent.read_to_end(&mut Vec::new()).await;
        assert_eq!(closed(&lab, "agents", "no_request")?, 1.0);
        let mut socket = bare::socket(&lab.listening().agents, LOOPBACK).await?;
        assert_eq!(socket.read(&mut [0; 1]).await?, 0, "without a handshake it ends, too");
        Ok(())
    })
}

#[test]
fn a_stranger_that_does_not_finish_its_request_is_closed() -> Result<()> {
    let lab = Lab::start_with_settings("[listeners]\nfirst_request = '1s'\n")?;
    runtime()?.block_on(async {
        let stream = bare::tls(&lab.listening().agents, LOOPBACK, &lab.ca(), None).await?;
        let mut stranger = Http2::over(stream, WINDOW).await?;
        let answer = stranger.call(ENROLL, bare::endless()).await;
        assert!(answer.is_err(), "there is nothing to answer: {answer:?}");
        let _ = stranger.ended.await?;
        assert_eq!(closed(&lab, "agents", "slow_request")?, 1.0);
        Ok(())
    })
}

#[test]
fn a_host_that_never_reads_is_disconnected() -> Result<()> {
    let lab = Lab::start_with_settings("[listeners]\nunread_answer = '1s'\n")?;
    runtime()?.block_on(async {
        let mut player = Player::enroll(&lab, "deaf").await?;
        let (snapshot, _) = snapshot_of(&["dpkg"]);
        for window in [0, 1] {
            let stream = bare::tls(&lab.listening().agents, LOOPBACK, &lab.ca(), Some(&player.identity)).await?;
            let mut deaf = Http2::over(stream, window).await?;
            let request = player.check_in_request(&snapshot);
            let answer = deaf.call(CHECK_IN, bare::framed(&request)).await?;
            assert_eq!(answer.status(), 200);
            let _ = deaf.ended.await?;
            assert_eq!(closed(&lab, "agents", "unread")?, f64::from(window) + 1.0, "window {window}");
        }
        // One that reads is not.
        let stream = bare::tls(&lab.listening().agents, LOOPBACK, &lab.ca(), Some(&player.identity)).await?;
        let mut reads = Http2::over(stream, WINDOW).await?;
        let request = player.check_in_request(&snapshot);
        let answer = reads.call(CHECK_IN, bare::framed(&request)).await?;
        let answer = http_body_util::BodyExt::collect(answer.into_body()).await?.to_bytes();
        assert!(answer.len() > 4096, "the answer of {} bytes is too small for this test", answer.len());
        Ok(())
    })
}

#[test]
fn a_host_has_few_connections_whatever_certificates_it_has() -> Result<()> {
    let lab = Lab::start_with_settings("[listeners]\nper_host = 2\n")?;
    runtime()?.block_on(async {
        let player = Player::enroll(&lab, "greedy").await?;
        // As if it had renewed its certificate again and again.
        let authority = Authority::stolen(&lab.ca(), &lab.ca_key()?)?;
        let before = open(&lab, "agents")?;
        let mut connections = Vec::new();
        for _ in 0..4 {
            let other = authority.client(&player.host.to_string(), Flaw::NeverEnrolled)?;
            let stream = bare::tls(&lab.listening().agents, LOOPBACK, &lab.ca(), Some(&other)).await?;
            connections.push(Http2::over(stream, WINDOW).await?);
        }
        eventually("only two are left", PATIENCE, || {
            let closed = closed(&lab, "agents", "host_limit")?;
            Ok((closed == 3.0 && open(&lab, "agents")? < before + 4.0).then_some(()))
        })?;
        let newest = connections.pop().context("four")?;
        assert!(!newest.ended.is_finished(), "the oldest ones give way");
        Ok(())
    })
}

#[test]
fn a_host_has_few_calls_at_once_over_all_of_its_connections() -> Result<()> {
    let lab = Lab::start_with_settings("[listeners]\ncalls_per_host = 2\nunread_answer = '1h'\n")?;
    runtime()?.block_on(async {
        let mut player = Player::enroll(&lab, "deaf").await?;
        let (snapshot, _) = snapshot_of(&["dpkg"]);
        let (mut connections, mut answers) = (Vec::new(), Vec::new());
        for call in 0..3 {
            let stream = bare::tls(&lab.listening().agents, LOOPBACK, &lab.ca(), Some(&player.identity)).await?;
            let mut deaf = Http2::over(stream, 0).await?;
            let request = player.check_in_request(&snapshot);
            let answer = deaf.call(CHECK_IN, bare::framed(&request)).await?;
            // A refusal has its status in the headers, an answer has it at its end.
            let status = answer.headers().get("grpc-status").map(|status| status.as_bytes().to_vec());
            assert_eq!(status, (call == 2).then(|| b"8".to_vec()), "call {call}");
            connections.push(deaf);
            answers.push(answer);
        }
        Ok(())
    })
}

#[test]
fn silent_connections_keep_no_probe_out() -> Result<()> {
    let lab = Lab::start_with_settings("[probes]\nconnections = 4\n[listeners]\nfirst_request = '1h'\n")?;
    runtime()?.block_on(async {
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(bare::socket(&lab.listening().probes, LOOPBACK).await?);
        }
        assert_eq!(lab.probe("/livez")?.0, 200);
        // A connection that gives way is counted until its task has ended.
        eventually("as many connections as slots", PATIENCE, || Ok((open(&lab, "probes")? <= 4.0).then_some(())))?;
        assert!(closed(&lab, "probes", "slots_full")? >= 16.0);
        Ok(())
    })
}
