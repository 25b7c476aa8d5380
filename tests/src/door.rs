//! Calls a collector directly over TLS and gRPC, as an agent or operator that follows no rules.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use muster_proto::wire::agent_service_client::AgentServiceClient;
use muster_proto::wire::fleet_service_client::FleetServiceClient;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use crate::pki::Identity;

/// A client of the agents' API without limits.
pub type AgentDoor = AgentServiceClient<Channel>;
/// A client of the operators' API.
pub type FleetDoor = FleetServiceClient<Channel>;

/// Connects to the agents' port, with or without a client certificate.
///
/// # Errors
/// The connection or the handshake failed.
pub async fn agents(address: &str, ca: &Path, identity: Option<&Identity>) -> Result<AgentDoor> {
    let channel = channel(address, ca, identity).await?;
    Ok(AgentServiceClient::new(channel).max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX))
}

/// Connects to the operators' port.
///
/// # Errors
/// The connection or the handshake failed.
pub async fn operators(address: &str, ca: &Path) -> Result<FleetDoor> {
    Ok(FleetServiceClient::new(channel(address, ca, None).await?))
}

/// TLS 1.3 settings that trust the CA in the file and show the identity.
///
/// # Errors
/// The file has no certificate, or the identity is not usable.
pub fn client_config(ca: &Path, identity: Option<&Identity>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).with_context(|| format!("read {}", ca.display()))? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_auth_cert(
            vec![CertificateDer::from(identity.certificate.clone())],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.clone())),
        )?,
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// A gRPC channel to either port.
///
/// # Errors
/// The connection or the handshake failed.
pub async fn channel(address: &str, ca: &Path, identity: Option<&Identity>) -> Result<Channel> {
    let connector = TlsConnector::from(Arc::new(client_config(ca, identity)?));
    let target = address.to_owned();
    let connect = tower::service_fn(move |_: http::Uri| {
        let connector = connector.clone();
        let target = target.clone();
        async move {
            let host = target.rsplit_once(':').map_or(target.as_str(), |(host, _)| host).to_owned();
            let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
            let stream = TcpStream::connect(&target).await?;
            stream.set_nodelay(true)?;
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    // The scheme is http because the connector does TLS itself.
    let endpoint = Endpoint::from_shared(format!("http://{address}")).context("parse the address")?;
    endpoint.connect_with_connector(connect).await.with_context(|| format!("connect to {address}"))
}

/// Calls a method by its path with an empty message and the given authorization.
///
/// # Errors
/// The status of the refusal.
pub async fn knock(
    channel: Channel,
    path: &str,
    authorization: Option<&str>,
) -> std::result::Result<(), tonic::Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
    let path = path.parse().map_err(|_| tonic::Status::internal("not a path"))?;
    let mut request = tonic::Request::new(());
    if let Some(token) = authorization {
        let value = format!("Bearer {token}").parse().map_err(|_| tonic::Status::internal("not a header"))?;
        request.metadata_mut().insert("authorization", value);
    }
    grpc.unary(request, path, tonic_prost::ProstCodec::<(), ()>::default()).await.map(|_| ())
}

/// The names of all methods in a schema file.
#[must_use]
pub fn methods(schema: &str) -> Vec<String> {
    let named = schema.lines().filter_map(|line| line.trim().strip_prefix("rpc "));
    named.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.to_owned()).collect()
}
