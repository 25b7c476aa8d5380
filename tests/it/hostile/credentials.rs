//! Certificates and operators' tokens that are missing, foreign, ended or meant for something else.

use anyhow::{Context, Result};
use muster_tests::door::{self, knock, methods};
use muster_tests::lab::Lab;
use muster_tests::pki::{Authority, Flaw, Identity};
use muster_tests::player::{Player, snapshot_of};
use tonic::{Code, Status};

use super::{assert_serves, runtime};

const AGENT_SCHEMA: &str = include_str!("../../../proto/schema/muster/v1/agent.proto");
const FLEET_SCHEMA: &str = include_str!("../../../proto/schema/muster/v1/fleet.proto");

#[test]
fn every_method_of_the_agents_port_except_enroll_needs_a_certificate() -> Result<()> {
    let lab = Lab::start()?;
    let methods = methods(AGENT_SCHEMA);
    assert!(methods.len() >= 4 && methods.contains(&"Upload".to_owned()), "the schema was read wrongly: {methods:?}");
    runtime()?.block_on(async {
        let channel = door::channel(&lab.listening().agents, &lab.ca(), None).await?;
        for method in methods.iter().filter(|method| *method != "Enroll") {
            let path = format!("/muster.v1.AgentService/{method}");
            let refused = knock(channel.clone(), &path, None).await.expect_err(method);
            assert_eq!(refused.code(), Code::Unauthenticated, "{method}: {refused:?}");
            assert!(refused.message().contains("certificate"), "{method}: {:?}", refused.message());
        }
        // Enroll is open, and refuses the empty request for what is wrong with it.
        let refused = knock(channel, "/muster.v1.AgentService/Enroll", None).await.expect_err("an empty enrollment");
        assert!(!refused.message().contains("client certificate"), "{refused:?}");
        Ok(())
    })
}

#[test]
fn every_method_of_the_operators_port_needs_a_token() -> Result<()> {
    let lab = Lab::start()?;
    let admin = std::fs::read_to_string(lab.data_dir().join("admin.token"))?;
    let admin = admin.trim();
    let methods = methods(FLEET_SCHEMA);
    assert!(methods.len() >= 12, "the schema was read wrongly: {methods:?}");
    let (id, _) = admin.split_once('.').context("an admin token has two parts at least")?;
    let wrong_secret = format!("{id}.{}", "a".repeat(52));
    let turned = admin.chars().rev().collect::<String>();
    runtime()?.block_on(async {
        let channel = door::channel(&lab.listening().operators, &lab.ca(), None).await?;
        for method in &methods {
            let path = format!("/muster.v1.FleetService/{method}");
            for token in [None, Some(""), Some("nonsense"), Some(wrong_secret.as_str()), Some(turned.as_str())] {
                let refused = knock(channel.clone(), &path, token).await.expect_err(method);
                assert_eq!(refused.code(), Code::Unauthenticated, "{method} with {token:?}: {refused:?}");
                assert!(refused.message().contains("token"), "{method}: {:?}", refused.message());
                assert!(!refused.message().contains(&wrong_secret), "{method} repeats the token");
            }
            // With the right one it is never a matter of credentials.
            if let Err(refused) = knock(channel.clone(), &path, Some(admin)).await {
                assert_ne!(refused.code(), Code::Unauthenticated, "{method} refuses the admin: {refused:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn health_and_reflection_need_a_token_too() -> Result<()> {
    let lab = Lab::start()?;
    let admin = std::fs::read_to_string(lab.data_dir().join("admin.token"))?;
    runtime()?.block_on(async {
        let channel = door::channel(&lab.listening().operators, &lab.ca(), None).await?;
        let health = "/grpc.health.v1.Health/Check";
        for path in [health, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"] {
            let refused = knock(channel.clone(), path, None).await.expect_err(path);
            assert_eq!(refused.code(), Code::Unauthenticated, "{path}: {refused:?}");
        }
        knock(channel, health, Some(admin.trim())).await?;
        let channel = door::channel(&lab.listening().agents, &lab.ca(), None).await?;
        let refused = knock(channel, health, None).await.expect_err("the agents' port");
        assert_eq!(refused.code(), Code::Unimplemented, "{refused:?}");
        assert_eq!(lab.probe("/readyz")?.0, 200, "the probes' port needs none");
        Ok(())
    })
}

#[test]
fn an_agent_is_no_operator_and_an_operator_is_no_agent() -> Result<()> {
    let lab = Lab::start()?;
    let admin = std::fs::read_to_string(lab.data_dir().join("admin.token"))?;
    runtime()?.block_on(async {
        let player = Player::enroll(&lab, "two-faced").await?;
        let at_operators = door::channel(&lab.listening().operators, &lab.ca(), Some(&player.identity)).await;
        if let Ok(channel) = at_operators {
            let refused = knock(channel, "/muster.v1.FleetService/GetBoard", None).await.expect_err("no token");
            assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
        }
        let at_agents = door::channel(&lab.listening().agents, &lab.ca(), None).await?;
        let path = "/muster.v1.AgentService/CheckIn";
        let refused = knock(at_agents.clone(), path, Some(admin.trim())).await.expect_err("no certificate");
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
        // Neither port serves the other's service, and each names the port that does.
        let path = "/muster.v1.FleetService/GetBoard";
        let refused = knock(at_agents, path, Some(admin.trim())).await.expect_err("the agents' port");
        assert_eq!(refused.code(), Code::Unimplemented, "{refused:?}");
        assert!(refused.message().contains("use the operators' port"), "{refused:?}");
        let at_operators = door::channel(&lab.listening().operators, &lab.ca(), None).await?;
        let refused =
            knock(at_operators, "/muster.v1.AgentService/Enroll", None).await.expect_err("the operators' port");
        assert!(refused.message().contains("use the agents' port"), "{refused:?}");
        Ok(())
    })
}

/// The outcome of a check-in with an identity: refused in the handshake or by the collector.
async fn check_in_as(lab: &Lab, honest: &Player, identity: &Identity) -> Result<(), String> {
    let (snapshot, _) = snapshot_of(&["dpkg"]);
    let door = match door::agents(&lab.listening().agents, &lab.ca(), Some(identity)).await {
        Ok(door) => door,
        Err(error) => return Err(format!("handshake: {error:#}")),
    };
    let mut thief = honest.clone();
    thief.door = door;
    thief
        .check_in(&snapshot)
        .await
        .map(|_| ())
        .map_err(|status: Status| format!("{:?}: {}", status.code(), status.message()))
}

#[test]
fn a_certificate_of_another_ca_is_refused_in_the_handshake() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let honest = Player::enroll(&lab, "honest-one").await?;
        let forged = Authority::strange()?.client(&honest.host.to_string(), Flaw::NeverEnrolled)?;
        let refused = check_in_as(&lab, &honest, &forged).await.expect_err("a certificate of another CA");
        // TLS 1.3 clients learn of it with their first request, so it shows as a broken transport.
        assert!(!refused.starts_with("Internal"), "{refused}");
        assert_serves(&lab).await
    })
}

#[test]
fn a_key_that_nobody_enrolled_is_unknown_even_with_a_true_signature() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let honest = Player::enroll(&lab, "honest-two").await?;
        let authority = Authority::stolen(&lab.ca(), &lab.ca_key()?)?;
        for name in [honest.host.to_string(), "somebody".to_owned()] {
            let forged = authority.client(&name, Flaw::NeverEnrolled)?;
            let refused = check_in_as(&lab, &honest, &forged).await.expect_err("a key that nobody enrolled");
            assert!(refused.starts_with("Unauthenticated") || refused.starts_with("PermissionDenied"), "{refused}");
        }
        assert_serves(&lab).await
    })
}

#[test]
fn expired_future_and_server_certificates_are_refused() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let honest = Player::enroll(&lab, "honest-three").await?;
        let authority = Authority::stolen(&lab.ca(), &lab.ca_key()?)?;
        for flaw in [Flaw::Expired, Flaw::NotYetValid, Flaw::ServerOnly] {
            let forged = authority.client(&honest.host.to_string(), flaw)?;
            let refused = check_in_as(&lab, &honest, &forged).await.expect_err("a flawed certificate");
            assert!(!refused.starts_with("Internal"), "{flaw:?}: {refused}");
        }
        assert_serves(&lab).await
    })
}

#[test]
fn a_certificate_without_its_key_is_worth_nothing() -> Result<()> {
    let lab = Lab::start()?;
    runtime()?.block_on(async {
        let honest = Player::enroll(&lab, "honest-four").await?;
        let other = Player::enroll(&lab, "other").await?;
        let stolen = Identity { key: other.identity.key.clone(), certificate: honest.identity.certificate.clone() };
        // rustls as a client refuses such a pair itself, so a thief with it gets no further than here or the handshake.
        check_in_as(&lab, &honest, &stolen).await.expect_err("a certificate without its key");
        assert_serves(&lab).await
    })
}
