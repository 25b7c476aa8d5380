//! Who comes in, and who does not.

use std::time::Duration;

use muster_proto::convert::RefusalDetail;
use muster_proto::limits;
use muster_proto::model::RefusalClass;
use muster_proto::wire;
use prost::Message as _;
use tonic::{Code, Request};

use crate::store::{AdminTx, SiteScope, admin};

use super::{Lab, Machine, SECRET, assert_refused, enroll_request, facts, packages, snapshot};

const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

#[tokio::test]
async fn a_retried_enrollment_is_the_same_host_with_a_certificate_again() {
    let mut lab = Lab::start().await;
    let machine = Machine::new();
    let request = enroll_request(&machine.csr());
    let first = lab.client.enroll(request.clone()).await.expect("enrolls").into_inner();
    let second = lab.client.enroll(request).await.expect("retries").into_inner();
    assert_eq!(first.host_id, second.host_id);
    assert!(!second.certificate.is_empty());
    assert_eq!(lab.tokens().await[0].uses, 1);
}

#[tokio::test]
async fn a_refused_enrollment_names_the_fault_and_not_the_secret() {
    let mut lab = Lab::start().await;
    let good = || enroll_request(&Machine::new().csr());
    let token = |token: String| wire::EnrollRequest { token, ..good() };
    let (malformed, limit) = (RefusalClass::Malformed, RefusalClass::Limit);
    let mut control = facts();
    control.hostname = "web\u{1b}[2J".to_owned();
    let mut long = facts();
    long.hostname = "x".repeat(256);
    for (request, code, class, words) in [
        (token(String::new()), Code::InvalidArgument, malformed, "EnrollRequest.token"),
        (token(format!("abcdefgh1234.{SECRET}")), Code::InvalidArgument, malformed, "id.secret.ca-pin"),
        (token(format!("{SECRET}!.{SECRET}.{SECRET}")), Code::InvalidArgument, malformed, "the token's id"),
        (token(format!("abcdefgh1234.{SECRET}1.{SECRET}")), Code::InvalidArgument, malformed, "the token's secret"),
        (token(SECRET.repeat(20)), Code::ResourceExhausted, limit, "TOKEN_BYTES"),
        (token(format!("zzzzzzzz1234.{SECRET}.{SECRET}")), Code::Unauthenticated, RefusalClass::Unknown, "is unknown"),
        (
            token(format!("abcdefgh1234.{}.{SECRET}", "a".repeat(52))),
            Code::Unauthenticated,
            RefusalClass::Unknown,
            "is unknown",
        ),
        (wire::EnrollRequest { facts: None, ..good() }, Code::InvalidArgument, malformed, "EnrollRequest.facts"),
        (
            wire::EnrollRequest { facts: Some(control), ..good() },
            Code::InvalidArgument,
            malformed,
            "HostFacts.hostname",
        ),
        (wire::EnrollRequest { facts: Some(long), ..good() }, Code::ResourceExhausted, limit, "HOSTNAME_BYTES"),
        (
            wire::EnrollRequest { fingerprint: vec![1; 31].into(), ..good() },
            Code::InvalidArgument,
            malformed,
            "EnrollRequest.fingerprint",
        ),
        (wire::EnrollRequest { csr: vec![0x30; 64].into(), ..good() }, Code::InvalidArgument, malformed, "PKCS#10"),
        (wire::EnrollRequest { csr: vec![0x30; 9000].into(), ..good() }, Code::ResourceExhausted, limit, "CSR_BYTES"),
        (token("x".repeat(limits::ENROLL_BYTES)), Code::ResourceExhausted, limit, "ENROLL_BYTES"),
        (token("x".repeat(limits::SECTION_BYTES)), Code::ResourceExhausted, limit, "ENROLL_BYTES"),
    ] {
        assert_refused(lab.client.enroll(request).await, code, class, &[words]);
    }
    assert_eq!(lab.store.host_count(&SiteScope::All).await.expect("counts"), 0);
    lab.pass(Duration::from_secs(3600));
    let late = lab.client.enroll(good()).await;
    assert_refused(late, Code::PermissionDenied, RefusalClass::Unknown, &["expired"]);
}

#[tokio::test]
async fn a_token_that_is_used_up_or_revoked_is_refused() {
    let mut lab = Lab::start().await;
    lab.enrolled().await;
    lab.enrolled().await;
    let third = lab.client.enroll(enroll_request(&Machine::new().csr())).await;
    assert_refused(third, Code::PermissionDenied, RefusalClass::Unknown, &["used up"]);
    let id = "abcdefgh1234".parse().expect("valid");
    let now = muster_proto::model::Timestamp::from_millis(super::START);
    let revoke = move |tx: &mut dyn AdminTx| admin::tokens::revoke(tx, &id, &|_| true, now);
    admin::write(lab.store.as_ref(), "token_revoke", super::acting(now), revoke).await.expect("revokes");
    let fourth = lab.client.enroll(enroll_request(&Machine::new().csr())).await;
    assert_refused(fourth, Code::PermissionDenied, RefusalClass::Unknown, &["revoked"]);
}

#[tokio::test]
async fn a_token_of_another_site_is_refused_with_both_sites() {
    let mut lab = Lab::start().await;
    let machine = lab.enrolled().await;
    let id = "zzzzzzzz1234";
    super::create_token(&lab.store, id, "plant").await;
    let request = enroll_request(&machine.csr());
    let request = wire::EnrollRequest { token: request.token.replace("abcdefgh1234", id), ..request };
    let answer = lab.client.enroll(request).await;
    let words = ["enrolled in site hq", "the token is for site plant"];
    assert_refused(answer, Code::FailedPrecondition, RefusalClass::OtherSite, &words);
}

#[tokio::test]
async fn an_unknown_expired_or_revoked_certificate_is_refused_with_advice() {
    let mut lab = Lab::start().await;
    let all = packages(&["adduser"]);
    let machine = lab.enrolled().await;
    let message = machine.check_in(1, &snapshot(&all), lab.now_ms());
    let naked = lab.client.check_in(Request::new(message.clone())).await;
    assert_refused(naked, Code::Unauthenticated, RefusalClass::Unknown, &["certificate"]);
    let mut stranger = lab.enrolled().await;
    stranger.certificate = vec![1, 2, 3];
    let garbled = lab.check_in(&stranger, 1, &snapshot(&all)).await;
    assert_refused(garbled, Code::Unauthenticated, RefusalClass::Unknown, &["cannot be read"]);
    let identity = crate::tls::CertificateFacts::read(&machine.certificate).expect("facts");
    let host = identity.host.expect("a host");
    lab.pass(YEAR * 2);
    let ended = lab.check_in(&machine, 1, &snapshot(&all)).await;
    assert_refused(ended, Code::Unauthenticated, RefusalClass::ReKey, &["renew"]);
    let ended = lab.upload(&machine, vec![machine.header(1, &snapshot(&all))]).await;
    assert_refused(ended, Code::Unauthenticated, RefusalClass::ReKey, &["renew"]);
    assert!(crate::store::contract::host_revoke(&lab.store, host, 5).await.expect("revokes"));
    let revoked = lab.check_in(&machine, 1, &snapshot(&all)).await;
    assert_refused(revoked, Code::PermissionDenied, RefusalClass::Revoked, &["revoked"]);
    let revoked = lab.client.renew(machine.calls(machine.renewal(&Machine::new()))).await;
    assert_refused(revoked, Code::PermissionDenied, RefusalClass::Revoked, &["revoked"]);
}

#[tokio::test]
async fn a_renewal_is_proven_by_the_old_key_and_ends_it_when_the_new_one_is_used() {
    let mut lab = Lab::start().await;
    let machine = lab.enrolled().await;
    let mut next = Machine::new();
    let request = machine.renewal(&next);
    let forged = wire::RenewRequest { proof: next.sign(b"something else").into(), ..request.clone() };
    let refused = lab.client.renew(machine.calls(forged)).await;
    assert_refused(refused, Code::InvalidArgument, RefusalClass::Malformed, &["RenewRequest.proof"]);
    let other = lab.enrolled().await;
    let refused = lab.client.renew(other.calls(request.clone())).await;
    assert_refused(refused, Code::InvalidArgument, RefusalClass::Malformed, &["RenewRequest.old_certificate"]);
    let answer = lab.client.renew(machine.calls(request)).await.expect("renews").into_inner();
    assert!(!answer.quarantined);
    next.certificate = answer.certificate.to_vec();
    let all = snapshot(&packages(&["adduser"]));
    lab.check_in(&machine, 1, &all).await.expect("the old key is good until the new one is used");
    lab.check_in(&next, 2, &all).await.expect("the new key is good");
    let old = lab.check_in(&machine, 3, &all).await;
    assert_refused(old, Code::PermissionDenied, RefusalClass::Revoked, &["newer key", "enroll"]);
    let old = lab.client.renew(machine.calls(machine.renewal(&Machine::new()))).await;
    assert_refused(old, Code::PermissionDenied, RefusalClass::Revoked, &["newer key", "enroll"]);
    let old = lab.client.enroll(enroll_request(&machine.csr())).await;
    assert_refused(old, Code::PermissionDenied, RefusalClass::Revoked, &["newer key", "enroll"]);
}

#[tokio::test]
async fn a_renewal_to_the_key_of_another_host_is_refused_by_name() {
    let mut lab = Lab::start().await;
    let (machine, other) = (lab.enrolled().await, lab.enrolled().await);
    let refused = lab.client.renew(machine.calls(machine.renewal(&other))).await;
    let words = ["RenewRequest.csr", "another host"];
    assert_refused(refused, Code::InvalidArgument, RefusalClass::Malformed, &words);
    lab.check_in(&machine, 1, &snapshot(&packages(&["adduser"]))).await.expect("its own key is still good");
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_renewed_into_quarantine() {
    let mut lab = Lab::start().await;
    let machine = lab.enrolled().await;
    lab.pass(YEAR * 2);
    let mut next = Machine::new();
    let answer = lab.client.renew(machine.calls(machine.renewal(&next))).await.expect("renews").into_inner();
    assert!(answer.quarantined);
    next.certificate = answer.certificate.to_vec();
    lab.check_in(&next, 1, &snapshot(&packages(&["adduser"]))).await.expect("it may report");
}

#[tokio::test]
async fn too_many_enrollments_with_one_token_are_told_when_to_come_back() {
    let mut lab = Lab::start().await;
    super::create_token_for(&lab.store, "plenty123456", "hq", 0).await;
    let request = |secret: &str| {
        let mut request = enroll_request(&Machine::new().csr());
        request.token = format!("plenty123456.{secret}.{SECRET}");
        request
    };
    for _ in 0..10 {
        lab.client.enroll(request(SECRET)).await.expect("enrolls");
    }
    let refused = lab.client.enroll(request(SECRET)).await.expect_err("one too many");
    let detail = wire::Refusal::decode(refused.details()).expect("details");
    let detail = RefusalDetail::try_from(detail).expect("a refusal");
    assert_eq!((refused.code(), detail.class), (Code::ResourceExhausted, RefusalClass::Later));
    assert!(refused.message().contains("enrollment.token_per_minute"), "{}", refused.message());
    assert!(detail.pace.next < Duration::from_secs(60), "{:?}", detail.pace);
    lab.pass(detail.pace.next + detail.pace.jitter);
    lab.client.enroll(request(SECRET)).await.expect("it came back");
    // Guesses of the secret use up nothing.
    let guess = format!("b{}", &SECRET[1..]);
    lab.pass(Duration::from_secs(120));
    for _ in 0..30 {
        lab.client.enroll(request(&guess)).await.expect_err("a wrong secret");
    }
    lab.client.enroll(request(SECRET)).await.expect("the minute of the token is whole");
}
