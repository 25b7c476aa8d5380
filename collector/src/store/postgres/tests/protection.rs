//! TLS to the database, with a real server and certificates of the test: which servers are accepted or refused, and
//! with which message.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::server::{Database, Own};
use super::{opened, refusal};
use crate::store::contract::small_fleet;

/// A CA, and the directory of its certificates.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "a CA for databases");
        let key = KeyPair::generate().expect("a key");
        let folder = tempfile::tempdir().expect("a folder");
        let certificate = params.self_signed(&key).expect("signs");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("writes");
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ca(&self) -> String {
        self.path("ca.pem").display().to_string()
    }

    /// A certificate of this CA with its key: `NAME.pem` and `NAME.key` in a directory.
    fn give(&self, folder: &Path, name: &str, common_name: &str, hosts: &[&str]) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).expect("writes");
        let file = folder.join(format!("{name}.key"));
        std::fs::write(&file, key.serialize_pem()).expect("writes");
        restrict(&file, 0o600);
    }
}

fn restrict(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("sets");
}

/// A server with a certificate for 127.0.0.1 that accepts only TLS; `rules` go before that rule.
fn server(authority: &Authority, rules: &str) -> Own {
    let given = tempfile::tempdir().expect("a folder");
    authority.give(given.path(), "server", "a database", &["127.0.0.1"]);
    std::fs::copy(authority.path("ca.pem"), given.path().join("client-ca.pem")).expect("copies");
    let rules = format!("{rules}\nhostssl all all 127.0.0.1/32 scram-sha-256\n");
    std::fs::write(given.path().join("pg_hba.conf"), rules).expect("writes");
    Own::secured(given.path())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_believed_as_far_as_the_address_asks_it_to_prove_itself() {
    let authority = Authority::new();
    let server = server(&authority, "");
    let url = |host: &str, rest: &str| {
        format!("postgres://muster:{}@{host}:{}/fleet?{rest}", server.password(), server.port())
    };
    let encrypted = "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
                     WHERE a.application_name = 'muster-collector'";
    let (ca, stranger) = (authority.ca(), Authority::new());
    for (host, rest) in [
        ("127.0.0.1", "sslmode=prefer".to_owned()),
        ("localhost", "sslmode=require".to_owned()),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ca}")),
        ("127.0.0.1", format!("sslrootcert={ca}")),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={ca}")),
    ] {
        let store = opened(&url(host, &rest));
        assert_eq!(server.sql(encrypted), "t", "{host} {rest}");
        store.close().await.expect("closes");
    }
    let place = |host: &str| format!("cannot open the database postgres://{host}:{}/fleet: ", server.port());
    let unsigned = format!("is not signed by one of sslrootcert {}", stranger.ca());
    for (host, rest, part) in [
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={}", stranger.ca()), unsigned.as_str()),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={}", stranger.ca()), unsigned.as_str()),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={}", stranger.ca()), unsigned.as_str()),
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={ca}"),
            "the certificate of localhost is for other names",
        ),
        ("localhost", format!("sslmode=prefer&sslrootcert={ca}"), "the certificate of localhost is for other names"),
        ("127.0.0.1", "sslmode=disable".to_owned(), "no encryption"),
        (
            "127.0.0.1",
            "sslmode=verify-full&sslrootcert=/nowhere/ca.pem".to_owned(),
            "sslrootcert /nowhere/ca.pem: No such",
        ),
    ] {
        let error = refusal(&url(host, &rest)).await.to_string();
        assert!(error.starts_with(&place(host)) && error.contains(part), "{rest}: {error}");
        assert!(!error.contains(server.password()), "{rest}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let place = Database::create();
    let authority = Authority::new();
    for rest in ["sslmode=require".to_owned(), format!("sslmode=verify-ca&sslrootcert={}", authority.ca())] {
        let error = refusal(&format!("{}?{rest}", place.url())).await.to_string();
        assert!(error.contains("server does not support TLS"), "{rest}: {error}");
    }
    opened(&format!("{}?sslmode=prefer", place.url())).close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_known_by_its_certificate_in_place_of_a_password() {
    let authority = Authority::new();
    let server = server(&authority, "hostssl all certified 127.0.0.1/32 cert");
    server.sql(
        "CREATE ROLE certified LOGIN; ALTER DATABASE fleet OWNER TO certified; GRANT ALL ON SCHEMA public TO certified",
    );
    let own = authority.folder.path();
    authority.give(own, "own", "certified", &[]);
    authority.give(own, "other", "somebody", &[]);
    Authority::new().give(own, "stranger", "certified", &[]);
    let url = |name: &str| {
        let (certificate, key) = (authority.path(&format!("{name}.pem")), authority.path(&format!("{name}.key")));
        let files = format!("sslcert={}&sslkey={}", certificate.display(), key.display());
        format!("postgres://certified@{}/fleet?sslrootcert={}&{files}", server.at(), authority.ca())
    };
    let store = opened(&url("own"));
    small_fleet(&store).await;
    store.close().await.expect("closes");
    let error = refusal(&url("other")).await.to_string();
    assert!(error.contains("certificate authentication failed for user \"certified\""), "{error}");
    // The server closes the connection during the handshake, so the message can say no more than that.
    refusal(&url("stranger")).await;
    restrict(&authority.path("own.key"), 0o640);
    let error = refusal(&url("own")).await.to_string();
    assert!(error.contains("own.key can be read by other users: run chmod 600 on it"), "{error}");
}
