//! The yardstick: a bare gRPC server with the collector's TLS settings, certificate and clients. It decodes requests, answers,
//! and stores nothing. It runs in its own process, as the collector does.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use muster_proto::model::{Section, Snapshot};
use muster_proto::wire;
use muster_proto::wire::agent_service_server::{AgentService, AgentServiceServer};
use muster_tests::process::Process;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::{Request, Response, Status};
use tower::Service;

use super::collector::{Collector, await_note};
use crate::fleet::Sight;
use crate::line::Address;

/// The yardstick's own messages: a report as a list of items.
#[expect(unreachable_pub, clippy::allow_attributes, reason = "generated")]
pub(crate) mod proto {
    tonic::include_proto!("muster.bench");
}

use proto::echo_service_server::{EchoService, EchoServiceServer};

/// Serve as the yardstick.
#[derive(Debug, Args)]
pub(crate) struct EchoArgs {
    /// Data folder of the collector whose certificate and CA are used.
    #[arg(long)]
    data_dir: PathBuf,
    /// File to write the address to.
    #[arg(long)]
    note: PathBuf,
}

/// The running yardstick.
#[derive(Debug)]
pub(crate) struct Yardstick {
    /// Where it listens.
    pub(crate) address: Address,
    process: Process,
}

impl Yardstick {
    /// Starts it with the certificates of the collector.
    pub(crate) fn start(collector: &Collector) -> Result<Self> {
        let note = collector.data.with_extension("echo.json");
        let mut command = Command::new(std::env::current_exe().context("find the own program")?);
        command.arg("echo").arg("--data-dir").arg(&collector.data).arg("--note").arg(&note);
        let mut process = Process::start(command, &collector.data.with_extension("echo.log"))?;
        let address: String = await_note(&mut process, &note).context("start the yardstick")?;
        Ok(Self { address: Address::parse(&address)?, process })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

/// The report of a host as a plain list of items.
pub(crate) fn items(sight: &Sight) -> proto::ReportRequest {
    proto::ReportRequest {
        run_id: vec![7; 16].into(),
        seq: 1,
        observed_at_ms: now_ms(),
        sent_at_ms: now_ms(),
        platform: u32::from(sight.snapshot.platform().code()),
        sources: sources(&sight.snapshot, &sight.sections),
    }
}

fn sources(snapshot: &Snapshot, sections: &[Section]) -> Vec<proto::SourceItems> {
    let item = |seen: &muster_proto::model::Observation| proto::Item {
        kind: u32::from(seen.kind.code()),
        name: seen.name.clone(),
        vendor: seen.vendor.clone(),
        version: seen.version.clone(),
        id: seen.id.clone(),
        path: seen.path.clone(),
        state: seen.state.clone(),
        attributes: seen
            .attributes
            .iter()
            .map(|(name, value)| proto::Attribute { name: name.clone(), value: value.clone() })
            .collect(),
    };
    snapshot
        .entries()
        .iter()
        .map(|entry| proto::SourceItems {
            source: u32::from(entry.source.code()),
            outcome: u32::from(entry.outcome.code()),
            reason: entry.reason.clone(),
            items: sections
                .iter()
                .filter(|section| section.source() == entry.source)
                .flat_map(|section| section.observations().iter().map(item))
                .collect(),
        })
        .collect()
}

/// Serves until it is killed.
pub(crate) async fn serve(args: EchoArgs) -> Result<bool> {
    let acceptor = TlsAcceptor::from(server_config(&args.data_dir)?);
    let socket = TcpSocket::new_v4().context("make a socket")?;
    socket.bind(([127, 0, 0, 1], 0).into()).context("bind")?;
    let listener = socket.listen(4096).context("listen")?;
    let address = listener.local_addr().context("ask for the own address")?.to_string();
    // The bench polls for the note and must never read half of it.
    let draft = args.note.with_extension("draft");
    std::fs::write(&draft, serde_json::to_string(&address)?).context("write the note")?;
    std::fs::rename(&draft, &args.note).context("write the note")?;
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(()) = stream.set_nodelay(true) else { return };
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                Ok::<_, Infallible>(answer(request.map(Body::new)).await)
            });
            // The client of a connection sees its failure.
            let _ =
                Builder::new(TokioExecutor::new()).http2_only().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: http::Request<Body>) -> http::Response<Body> {
    let Ok(answer) = if request.uri().path().starts_with("/muster.bench.") {
        EchoServiceServer::new(Bare).call(request).await
    } else {
        AgentServiceServer::new(Bare).call(request).await
    };
    answer
}

/// The settings of the collector's agents' port: TLS 1.3, ring, client certificates of this CA, encrypted tickets.
fn server_config(data: &Path) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    let ca = data.join("ca.pem");
    for certificate in CertificateDer::pem_file_iter(&ca).with_context(|| format!("read {}", ca.display()))? {
        roots.add(certificate?)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .context("verify clients by the CA")?;
    let own = data.join("server.pem");
    let chain = CertificateDer::pem_file_iter(&own).with_context(|| format!("read {}", own.display()))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().with_context(|| format!("parse {}", own.display()))?;
    let key = PrivateKeyDer::from_pem_file(&own).with_context(|| format!("find a key in {}", own.display()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // As in the collector, so that both sides do the same work in a handshake.
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.send_tls13_tickets = 2;
    Ok(Arc::new(config))
}

/// Answers and stores nothing.
#[derive(Debug, Clone, Copy)]
struct Bare;

#[tonic::async_trait]
impl EchoService for Bare {
    async fn report(&self, request: Request<proto::ReportRequest>) -> Result<Response<proto::ReportResponse>, Status> {
        let report = request.into_inner();
        let items = report.sources.iter().map(|source| source.items.len() as u64).sum();
        Ok(Response::new(proto::ReportResponse { accepted: true, items, server_time_ms: now_ms() }))
    }
}

#[tonic::async_trait]
impl AgentService for Bare {
    async fn check_in(
        &self,
        _request: Request<wire::CheckInRequest>,
    ) -> Result<Response<wire::CheckInResponse>, Status> {
        let pace = Some(muster_proto::model::Pace::default().into());
        Ok(Response::new(wire::CheckInResponse { pace, server_time_ms: now_ms(), ..Default::default() }))
    }

    async fn enroll(&self, _request: Request<wire::EnrollRequest>) -> Result<Response<wire::EnrollResponse>, Status> {
        Err(Status::unimplemented("the echo server does not enroll"))
    }

    async fn renew(&self, _request: Request<wire::RenewRequest>) -> Result<Response<wire::RenewResponse>, Status> {
        Err(Status::unimplemented("the echo server does not renew"))
    }

    async fn upload(
        &self,
        _request: Request<tonic::Streaming<wire::UploadRequest>>,
    ) -> Result<Response<wire::UploadResponse>, Status> {
        Err(Status::unimplemented("the echo server takes reports as items"))
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Model, Profile, Shares};

    #[test]
    fn the_yardstick_is_sent_every_observation_and_its_report_has_the_size_that_is_promised() {
        let model = Model { seed: 1, profile: Profile::Distinct, shares: Shares::default() };
        let bytes: usize = (0..50)
            .map(|host| {
                let report = items(&model.sight(host, 0, 0));
                assert_eq!(report.sources.iter().map(|source| source.items.len()).sum::<usize>(), 300);
                prost::Message::encoded_len(&report)
            })
            .sum();
        assert!((20_000..28_000).contains(&(bytes / 50)), "{} bytes", bytes / 50);
    }
}
