//! The client of FleetService. Callers see model types only.

mod bulk;
mod past;
mod roster;
mod sealed;
mod timeline;
mod waivers;

pub(super) use past::PastFilter;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper_util::rt::TokioIo;
use muster_proto::convert::hosts_meant;
use muster_proto::error_chain;
use muster_proto::model::{
    AccountReport, AttestationRow, Board, ChangesReport, ChangesSort, CollectorStatus, DutyEvidence, DutyReport,
    Explanation, Finding, FindingsSort, HostActionKind, HostActionReport, HostMark, HostReport, HostRow, HostsSort,
    Lane, LedgerEntry, OrderFile, OrderFilesReport, OrderId, OrderReport, OrdersChangeReport, ProductId, ProductReport,
    SiteId, SoftwareReport, StoredAttestation, Timestamp, TokenId, TokenReport,
};
use muster_proto::wire::{self, OrderSwitch, fleet_service_client::FleetServiceClient};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

pub(super) use bulk::Selected;

use super::args::accounts::{NewAccountArgs, RotateArgs};
use super::args::attestations::AttestationsFilterArgs;
use super::args::duties::DutiesFilterArgs;
use super::args::host_actions::HostActionArgs;
use super::args::ledger::LedgerFilterArgs;
use super::profile::{ExposedToken, Missing, Target};
use super::render::counted;
use crate::filter::Filter;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
const PAGE_ROWS: usize = 1000;

/// The collector is not reachable, or its certificate is wrong.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to the collector at {server}: {reason}")]
pub(super) struct Unreachable {
    server: String,
    reason: String,
    advice: &'static str,
}

impl Unreachable {
    fn new(target: &Target, error: &(dyn std::error::Error + 'static)) -> Self {
        // The outermost error of the transport says only that it is one.
        let cause = error.source().unwrap_or(error);
        let (reason, advice) = match rustls_error(cause) {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::BadSignature | CertificateError::UnknownIssuer,
            )) => (
                format!("the collector's certificate was not signed by the CA in {}", target.ca_file.display()),
                "use ca.pem from the data directory of this collector (--ca-file or MUSTER_CA_FILE), or, if it has a certificate of your company \
                 (operators.certificate), the company's CA or the CAs of the system, such as /etc/ssl/certs/ca-certificates.crt",
            ),
            Some(rustls::Error::InvalidCertificate(_)) => (
                error_chain(cause),
                "compare --ca-file with ca.pem in the collector's data directory, and --server with the collector's public names",
            ),
            _ => (
                error_chain(cause),
                "check that the collector runs and that --server is its operators' port (7444 by default)",
            ),
        };
        Self { server: target.server.clone(), reason, advice }
    }
}

/// The TLS error among the causes, if there is one. An I/O error hides the error inside from `source`.
fn rustls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let inside = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
    let found = error.downcast_ref().or_else(|| inside.and_then(|inner| inner.downcast_ref()));
    found.or_else(|| error.source().and_then(rustls_error))
}

/// What to do about an unknown host.
const LIST_HOSTS: &str = "list the hosts with `muster hosts`";
/// What to do about an unknown enrollment token.
const LIST_TOKENS: &str = "list the tokens with `muster tokens`";
/// What to do about an unknown account.
const LIST_ACCOUNTS: &str = "list the accounts with `muster accounts`";
/// What to do about an unknown order.
pub(super) const LIST_ORDERS: &str = "list the orders with `muster orders --all`";

/// What to do about an unknown duty.
const LIST_DUTIES: &str = "list the duties with `muster duties --all`";

/// What the collector says of a page token that it did not give.
const NO_PAGE: &str = "the page token is not valid";
/// What to do about it.
const BEGIN_AGAIN: &str =
    "copy the value of `next` from the same command with the same options, or leave out --after to begin at the start";

/// The collector refused.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Refused {
    code: Code,
    message: String,
    /// How to go on.
    remedy: Option<String>,
}

impl Refused {
    /// Something that the collector does not have, and how to list what it has.
    pub(super) fn not_found(message: String, remedy: &str) -> Self {
        Self { code: Code::NotFound, message, remedy: Some(remedy.to_owned()) }
    }
}

/// What to do about an error.
pub(super) fn advice(failed: &anyhow::Error) -> Option<String> {
    if let Some(missing) = failed.downcast_ref::<Missing>() {
        return Some(missing.advice());
    }
    if let Some(exposed) = failed.downcast_ref::<ExposedToken>() {
        return Some(exposed.advice());
    }
    if let Some(unreachable) = failed.downcast_ref::<Unreachable>() {
        return Some(unreachable.advice.to_owned());
    }
    let refused = failed.downcast_ref::<Refused>()?;
    let advice = if refused.code == Code::Unauthenticated {
        "check the token file; on the collector's machine, `muster-collector accounts` lists who has a valid token, and \
         `muster-collector accounts create NAME --role admin` makes one"
    } else if refused.code == Code::PermissionDenied {
        "ask an administrator for an account with the role and the sites that this needs; `muster accounts show` prints yours"
    } else {
        return refused.remedy.clone();
    };
    Some(advice.to_owned())
}

/// The header of a request's own limit of time.
const TIMEOUT: &str = "grpc-timeout";

/// Gives each request the token, and a limit of time unless it has one.
#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        if !request.metadata().contains_key(TIMEOUT) {
            request.set_timeout(CALL_TIMEOUT);
        }
        Ok(request)
    }
}

/// Which software to search.
#[derive(Debug)]
pub(super) struct SoftwareFilter {
    pub(super) text: String,
    pub(super) version: Option<String>,
    pub(super) version_prefix: Option<String>,
    pub(super) remnants: bool,
    pub(super) sites: Vec<SiteId>,
    pub(super) hosts: bool,
    pub(super) limit: Option<usize>,
    /// What continues after the hosts of an earlier answer.
    pub(super) after: Option<String>,
}

/// Which hosts to list.
#[derive(Debug)]
pub(super) struct HostsFilter {
    pub(super) order: Option<OrderId>,
    pub(super) lanes: Vec<Lane>,
    pub(super) sites: Vec<SiteId>,
    pub(super) name: String,
    pub(super) silent: bool,
    pub(super) marks: Vec<HostMark>,
    pub(super) enrolled_with: Option<TokenId>,
    pub(super) filter: Option<Filter>,
    pub(super) page: PageArgs<HostsSort>,
}

/// Which changes to list.
#[derive(Debug, Clone)]
pub(super) struct ChangesFilter {
    pub(super) span: Duration,
    pub(super) order: Option<OrderId>,
    pub(super) sites: Vec<SiteId>,
    pub(super) filter: Option<Filter>,
    pub(super) sort: ChangesSort,
    pub(super) limit: usize,
}

/// Which findings to list.
#[derive(Debug)]
pub(super) struct FindingsFilter {
    pub(super) order: Option<OrderId>,
    pub(super) lanes: Vec<Lane>,
    pub(super) sites: Vec<SiteId>,
    pub(super) filter: Option<Filter>,
    pub(super) page: PageArgs<FindingsSort>,
}

/// Part of a list: its sort, where it begins, and how many rows it has.
#[derive(Debug)]
pub(super) struct PageArgs<S> {
    pub(super) sort: S,
    /// The most rows; `None` is all.
    pub(super) limit: Option<usize>,
    /// `next` of an earlier part.
    pub(super) after: Option<String>,
}

/// Rows of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<T> {
    pub(super) rows: Vec<T>,
    /// The number of rows of the whole list; `None` if this part does not begin at its start.
    pub(super) total: Option<u64>,
    /// What continues after these rows; `None` at the end of the list.
    pub(super) next: Option<String>,
}

impl<T> Part<T> {
    /// `3 of 37 hosts`, and how to continue.
    pub(super) fn size(&self, noun: &str) -> String {
        let rows = self.rows.len();
        let size = match self.total {
            Some(total) if total != rows as u64 => format!("{rows} of {}", counted(total, noun)),
            _ => counted(rows, noun),
        };
        match &self.next {
            Some(next) => format!("{size}; for the next ones add `--after {next}`"),
            None => size,
        }
    }
}

/// A connection to a collector.
pub(super) struct Client {
    inner: FleetServiceClient<InterceptedService<Channel, Bearer>>,
}

impl Client {
    /// Connects: TCP, TLS with the collector's own CA, HTTP/2.
    pub(super) async fn connect(target: &Target) -> anyhow::Result<Self> {
        let connector = TlsConnector::from(Arc::new(tls(target)?));
        let name = ServerName::try_from(target.host.clone())
            .with_context(|| format!("{:?} is not a host name or an address", target.host))?;
        let place = (target.host.clone(), target.port);
        let dial = tower::service_fn(move |_: http::Uri| {
            let (connector, name, place) = (connector.clone(), name.clone(), place.clone());
            async move {
                let stream = TcpStream::connect(place).await?;
                // A small request must not wait for the acknowledgement of an earlier one.
                stream.set_nodelay(true)?;
                connector.connect(name, stream).await.map(TokioIo::new)
            }
        });
        // A limit of the endpoint would be the shorter one for requests that may take longer.
        let endpoint = Endpoint::from_shared(target.server.clone())?.connect_timeout(CONNECT_TIMEOUT);
        let channel = endpoint.connect_with_connector(dial).await.map_err(|error| Unreachable::new(target, &error))?;
        let mut bearer =
            MetadataValue::try_from(format!("Bearer {}", target.token)).context("cannot send the token")?;
        // A sensitive value is hidden in debug output, and HPACK never puts it into its table.
        bearer.set_sensitive(true);
        Ok(Self {
            // A page may exceed tonic's default limit of 4 MiB.
            inner: FleetServiceClient::with_interceptor(channel, Bearer(bearer)).max_decoding_message_size(64 << 20),
        })
    }

    pub(super) async fn status(&mut self) -> anyhow::Result<CollectorStatus> {
        Ok(self.inner.get_status(wire::GetStatusRequest {}).await.map_err(refused)?.into_inner().try_into()?)
    }

    /// The boards of now, or of an instant of the past.
    pub(super) async fn board(
        &mut self,
        order: Option<&OrderId>,
        as_of: Option<Timestamp>,
    ) -> anyhow::Result<Vec<Board>> {
        let request = wire::GetBoardRequest { order: text(order), as_of_ms: as_of.map(Timestamp::millis) };
        let answer = self.inner.get_board(request).await.map_err(missing(LIST_ORDERS))?;
        all(answer.into_inner().boards)
    }

    pub(super) async fn hosts(&mut self, filter: &HostsFilter) -> anyhow::Result<Part<HostRow>> {
        let (mut hosts, mut total) = (Vec::new(), None);
        let mut page_token = filter.page.after.clone().unwrap_or_default();
        loop {
            let request = wire::ListHostsRequest {
                order: text(filter.order.as_ref()),
                lanes: codes(&filter.lanes),
                sites: filter.sites.iter().map(ToString::to_string).collect(),
                name: filter.name.clone(),
                silent_only: filter.silent,
                marks: filter.marks.iter().map(|mark| mark.code().into()).collect(),
                enrolled_with: text(filter.enrolled_with.as_ref()),
                filter: text(filter.filter.as_ref()),
                sort: u32::from(filter.page.sort.code()),
                page_rows: page_rows(filter.page.limit, hosts.len()),
                page_token,
            };
            let answer = self
                .inner
                .list_hosts(request)
                .await
                .map_err(wrong_place(&filter.page.after, LIST_ORDERS))?
                .into_inner();
            hosts.extend(all::<_, HostRow>(answer.hosts)?);
            total = total.or(answer.total);
            page_token = answer.next_page_token;
            if page_token.is_empty() || filter.page.limit.is_some_and(|limit| hosts.len() >= limit) {
                return Ok(Part { rows: hosts, total, next: Some(page_token).filter(|token| !token.is_empty()) });
            }
        }
    }

    pub(super) async fn host(&mut self, host: &str) -> anyhow::Result<HostReport> {
        let request = wire::GetHostRequest { host: host.to_owned() };
        let answer = self.inner.get_host(request).await.map_err(no_host("muster hosts show", LIST_HOSTS))?.into_inner();
        Ok(answer.host.context("the answer has no host")?.try_into()?)
    }

    pub(super) async fn explain(&mut self, host: &str, order: Option<&OrderId>) -> anyhow::Result<Explanation> {
        let request = wire::ExplainHostRequest { host: host.to_owned(), order: text(order) };
        let no_host = |status: Status| no_host("muster explain", list_of(status.message()))(status);
        let answer = self.inner.explain_host(request).await.map_err(no_host)?;
        Ok(answer.into_inner().try_into()?)
    }

    /// Editions, and hosts up to the limit if hosts are asked for; and what continues after them.
    pub(super) async fn software(
        &mut self,
        filter: &SoftwareFilter,
    ) -> anyhow::Result<(SoftwareReport, Option<String>)> {
        let mut report: Option<SoftwareReport> = None;
        let mut page_token = filter.after.clone().unwrap_or_default();
        loop {
            let had = report.as_ref().map_or(0, |report| report.hosts.len());
            let request = wire::SearchSoftwareRequest {
                text: filter.text.clone(),
                version: filter.version.clone().unwrap_or_default(),
                version_prefix: filter.version_prefix.clone().unwrap_or_default(),
                remnants: filter.remnants,
                sites: filter.sites.iter().map(ToString::to_string).collect(),
                // Zero means the collector's default.
                edition_rows: 0,
                host_rows: if filter.hosts { page_rows(filter.limit, had) } else { 0 },
                page_token,
            };
            let mut answer =
                self.inner.search_software(request).await.map_err(wrong_place(&filter.after, ""))?.into_inner();
            page_token = std::mem::take(&mut answer.next_page_token);
            let page = SoftwareReport::try_from(answer)?;
            let whole = match report.take() {
                None => page,
                Some(mut whole) => {
                    whole.hosts.extend(page.hosts);
                    whole
                }
            };
            if page_token.is_empty() || filter.limit.is_some_and(|limit| whole.hosts.len() >= limit) {
                return Ok((whole, Some(page_token).filter(|token| !token.is_empty())));
            }
            report = Some(whole);
        }
    }

    pub(super) async fn findings(&mut self, filter: &FindingsFilter) -> anyhow::Result<Part<Finding>> {
        let (mut findings, mut total) = (Vec::new(), None);
        let mut page_token = filter.page.after.clone().unwrap_or_default();
        loop {
            let request = wire::ListFindingsRequest {
                order: text(filter.order.as_ref()),
                lanes: codes(&filter.lanes),
                sites: filter.sites.iter().map(ToString::to_string).collect(),
                filter: text(filter.filter.as_ref()),
                sort: u32::from(filter.page.sort.code()),
                page_rows: page_rows(filter.page.limit, findings.len()),
                page_token,
            };
            let answer = self
                .inner
                .list_findings(request)
                .await
                .map_err(wrong_place(&filter.page.after, LIST_ORDERS))?
                .into_inner();
            findings.extend(all::<_, Finding>(answer.findings)?);
            total = total.or(answer.total);
            page_token = answer.next_page_token;
            if page_token.is_empty() || filter.page.limit.is_some_and(|limit| findings.len() >= limit) {
                return Ok(Part { rows: findings, total, next: Some(page_token).filter(|token| !token.is_empty()) });
            }
        }
    }

    pub(super) async fn changes(&mut self, filter: &ChangesFilter) -> anyhow::Result<ChangesReport> {
        let mut report: Option<ChangesReport> = None;
        let mut page_token = String::new();
        loop {
            let had = report.as_ref().map_or(0, |report| report.changes.len());
            let request = wire::ListChangesRequest {
                span_ms: u64::try_from(filter.span.as_millis()).unwrap_or(u64::MAX),
                order: text(filter.order.as_ref()),
                sites: filter.sites.iter().map(ToString::to_string).collect(),
                filter: text(filter.filter.as_ref()),
                sort: filter.sort.code().into(),
                page_rows: page_rows(Some(filter.limit), had),
                page_token,
            };
            let mut answer = self.inner.list_changes(request).await.map_err(missing(LIST_ORDERS))?.into_inner();
            page_token = std::mem::take(&mut answer.next_page_token);
            let page = ChangesReport::try_from(answer)?;
            // The counts are those of the first page.
            let whole = match report.take() {
                Some(mut whole) => {
                    whole.changes.extend(page.changes);
                    whole
                }
                None => page,
            };
            if page_token.is_empty() || whole.changes.len() >= filter.limit {
                return Ok(whole);
            }
            report = Some(whole);
        }
    }

    pub(super) async fn orders(&mut self, everyone: bool) -> anyhow::Result<Vec<OrderReport>> {
        let answer = self.inner.list_orders(wire::ListOrdersRequest { all: everyone }).await.map_err(refused)?;
        all(answer.into_inner().orders)
    }

    pub(super) async fn orders_apply(
        &mut self,
        files: Vec<OrderFile>,
        dry_run: bool,
    ) -> anyhow::Result<OrdersChangeReport> {
        let request = wire::ApplyOrdersRequest { files: files.into_iter().map(Into::into).collect(), dry_run };
        Ok(self.inner.apply_orders(request).await.map_err(refused)?.into_inner().try_into()?)
    }

    pub(super) async fn order_switch(
        &mut self,
        id: &OrderId,
        change: OrderSwitch,
        dry_run: bool,
    ) -> anyhow::Result<OrdersChangeReport> {
        let request = wire::SwitchOrderRequest { id: id.to_string(), change: change.into(), dry_run };
        Ok(self.inner.switch_order(request).await.map_err(missing(LIST_ORDERS))?.into_inner().try_into()?)
    }

    pub(super) async fn order_files(
        &mut self,
        id: &OrderId,
        at: Option<Timestamp>,
    ) -> anyhow::Result<OrderFilesReport> {
        let request = wire::GetOrderFilesRequest { id: id.to_string(), at_ms: at.map(Timestamp::millis) };
        Ok(self.inner.get_order_files(request).await.map_err(missing(LIST_ORDERS))?.into_inner().into())
    }

    /// The files of an order as they are in force; `None` if there is no such order.
    pub(super) async fn order_files_if_any(&mut self, id: &OrderId) -> anyhow::Result<Option<OrderFilesReport>> {
        let request = wire::GetOrderFilesRequest { id: id.to_string(), at_ms: None };
        match self.inner.get_order_files(request).await {
            Ok(answer) => Ok(Some(answer.into_inner().into())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(refused(status)),
        }
    }

    pub(super) async fn products(&mut self) -> anyhow::Result<Vec<ProductReport>> {
        let answer = self.inner.list_products(wire::ListProductsRequest {}).await.map_err(refused)?;
        all(answer.into_inner().products)
    }

    pub(super) async fn product(&mut self, id: &ProductId) -> anyhow::Result<ProductReport> {
        let request = wire::GetProductRequest { id: id.to_string() };
        let answer = self
            .inner
            .get_product(request)
            .await
            .map_err(missing("list the products with `muster catalogue list`"))?
            .into_inner();
        Ok(answer.product.context("the answer has no product")?.try_into()?)
    }

    pub(super) async fn host_action(
        &mut self,
        kind: HostActionKind,
        asked: &HostActionArgs,
    ) -> anyhow::Result<HostActionReport> {
        let remedy = if asked.enrolled_with.is_some() { LIST_TOKENS } else { LIST_HOSTS };
        let request = wire::HostActionRequest {
            hosts: asked.hosts.clone(),
            enrolled_with: text(asked.enrolled_with.as_ref()),
            reason: asked.reason.clone(),
        };
        let answer = match kind {
            HostActionKind::Revoke => self.inner.revoke_hosts(request).await,
            HostActionKind::Release => self.inner.release_hosts(request).await,
            HostActionKind::Review => self.inner.review_hosts(request).await,
            HostActionKind::Purge => self.inner.purge_hosts(request).await,
        };
        let command = match kind {
            HostActionKind::Revoke => "muster hosts revoke",
            HostActionKind::Release => "muster hosts release",
            HostActionKind::Review => "muster hosts review",
            HostActionKind::Purge => "muster hosts purge",
        };
        Ok(answer.map_err(no_host(command, remedy))?.into_inner().try_into()?)
    }

    pub(super) async fn caller(&mut self) -> anyhow::Result<AccountReport> {
        let answer = self.inner.get_caller(wire::GetCallerRequest {}).await.map_err(refused)?.into_inner();
        account(answer.account)
    }

    /// Path and query of a new login link, and until when it can be used.
    /// A login link's path, its end, and the origin of the web board; empty if the collector does not know it.
    pub(super) async fn login_link(&mut self) -> anyhow::Result<(String, Timestamp, String)> {
        let answer = self.inner.create_login_link(wire::CreateLoginLinkRequest {}).await.map_err(refused)?.into_inner();
        Ok((answer.path, Timestamp::from_millis(answer.expires_at_ms), answer.public_url))
    }

    pub(super) async fn account_list(&mut self) -> anyhow::Result<Vec<AccountReport>> {
        let answer = self.inner.list_accounts(wire::ListAccountsRequest {}).await.map_err(refused)?;
        all(answer.into_inner().accounts)
    }

    pub(super) async fn account_get(&mut self, asked: &str) -> anyhow::Result<AccountReport> {
        let request = wire::GetAccountRequest { account: asked.to_owned() };
        account(self.inner.get_account(request).await.map_err(missing(LIST_ACCOUNTS))?.into_inner().account)
    }

    pub(super) async fn account_create(&mut self, new: &NewAccountArgs) -> anyhow::Result<(String, AccountReport)> {
        let request = wire::CreateAccountRequest {
            name: new.name.to_string(),
            role: new.role.code().into(),
            holder: new.holder.code().into(),
            sites: new.sites.iter().map(SiteId::to_string).collect(),
            lifetime_ms: millis(new.expires),
        };
        let answer = self.inner.create_account(request).await.map_err(refused)?.into_inner();
        Ok((answer.token, account(answer.stored)?))
    }

    pub(super) async fn account_rotate(&mut self, asked: &RotateArgs) -> anyhow::Result<(String, AccountReport)> {
        let (lifetime_ms, grace_ms) = (millis(asked.expires), millis(asked.grace));
        let request = wire::RotateAccountRequest { account: asked.account.clone(), lifetime_ms, grace_ms };
        let answer = self.inner.rotate_account(request).await.map_err(missing(LIST_ACCOUNTS))?.into_inner();
        Ok((answer.token, account(answer.stored)?))
    }

    pub(super) async fn account_revoke(&mut self, asked: &str) -> anyhow::Result<AccountReport> {
        let request = wire::RevokeAccountRequest { account: asked.to_owned() };
        account(self.inner.revoke_account(request).await.map_err(missing(LIST_ACCOUNTS))?.into_inner().stored)
    }

    /// Sets a password, or removes it.
    pub(super) async fn password_set(
        &mut self,
        asked: Option<String>,
        password: Option<String>,
    ) -> anyhow::Result<AccountReport> {
        let request = wire::SetPasswordRequest { account: asked.unwrap_or_default(), password };
        account(self.inner.set_password(request).await.map_err(missing(LIST_ACCOUNTS))?.into_inner().stored)
    }

    /// At most `limit` entries, and whether there may be more.
    pub(super) async fn ledger(
        &mut self,
        filter: &LedgerFilterArgs,
        since: Option<Timestamp>,
        limit: usize,
    ) -> anyhow::Result<(Vec<LedgerEntry>, bool)> {
        let mut entries: Vec<LedgerEntry> = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = wire::ListLedgerRequest {
                since_ms: since.map(Timestamp::millis),
                kind: filter.kind.map_or(0, |kind| kind.code().into()),
                by: filter.by.clone(),
                host: filter.host.clone(),
                page_rows: page_rows(Some(limit), entries.len()),
                page_token,
            };
            let no_host = |status: Status| no_host("muster ledger --host", list_of(status.message()))(status);
            let answer = self.inner.list_ledger(request).await.map_err(no_host)?.into_inner();
            entries.extend(all::<_, LedgerEntry>(answer.entries)?);
            page_token = answer.next_page_token;
            if page_token.is_empty() || entries.len() >= limit {
                entries.truncate(limit);
                return Ok((entries, !page_token.is_empty()));
            }
        }
    }

    /// All duties of a filter.
    pub(super) async fn duties(&mut self, filter: &DutiesFilterArgs) -> anyhow::Result<Vec<DutyReport>> {
        let order = filter.order.as_ref().map(OrderId::to_string).unwrap_or_default();
        let mut duties: Vec<DutyReport> = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = wire::ListDutiesRequest { order: order.clone(), all: filter.all, page_rows: 0, page_token };
            let answer = self.inner.list_duties(request).await.map_err(missing(LIST_ORDERS))?.into_inner();
            duties.extend(all::<_, DutyReport>(answer.duties)?);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(duties);
            }
        }
    }

    pub(super) async fn duty(&mut self, number: u64) -> anyhow::Result<DutyReport> {
        let request = wire::GetDutyRequest { number };
        let answer = self.inner.get_duty(request).await.map_err(missing(LIST_DUTIES))?.into_inner();
        Ok(answer.duty.context("the answer has no duty")?.try_into()?)
    }

    /// The duty that is done, and those that began with it.
    pub(super) async fn duty_finish(
        &mut self,
        number: u64,
        reference: String,
        evidence: Option<DutyEvidence>,
    ) -> anyhow::Result<(DutyReport, Vec<DutyReport>)> {
        let request = wire::FinishDutyRequest { number, reference, evidence: evidence.map(Into::into) };
        let answer = self.inner.finish_duty(request).await.map_err(missing(LIST_DUTIES))?.into_inner();
        Ok((answer.duty.context("the answer has no duty")?.try_into()?, all(answer.started)?))
    }

    pub(super) async fn ledger_entry(&mut self, number: u64) -> anyhow::Result<LedgerEntry> {
        let request = wire::GetLedgerEntryRequest { number };
        let advice = "list the entries with `muster ledger`";
        let answer = self.inner.get_ledger_entry(request).await.map_err(missing(advice))?.into_inner();
        Ok(answer.entry.context("the answer has no entry")?.try_into()?)
    }

    pub(super) async fn attestations(
        &mut self,
        filter: &AttestationsFilterArgs,
    ) -> anyhow::Result<Part<AttestationRow>> {
        let mut rows = Vec::new();
        let mut page_token = filter.after.clone().unwrap_or_default();
        loop {
            let page_rows = page_rows(filter.limit, rows.len());
            let request = wire::ListAttestationsRequest { page_rows, page_token };
            let answer = self.inner.list_attestations(request).await;
            let answer = answer.map_err(wrong_place(&filter.after, LIST_HOSTS))?.into_inner();
            rows.extend(all::<_, AttestationRow>(answer.attestations)?);
            page_token = answer.next_page_token;
            if page_token.is_empty() || filter.limit.is_some_and(|limit| rows.len() >= limit) {
                return Ok(Part { rows, total: None, next: Some(page_token).filter(|token| !token.is_empty()) });
            }
        }
    }

    pub(super) async fn attestation(
        &mut self,
        host: &str,
        order: Option<&OrderId>,
    ) -> anyhow::Result<StoredAttestation> {
        let request = wire::GetAttestationRequest { host: host.to_owned(), order: text(order) };
        let no_host = |status: Status| no_host("muster attestations show", list_of(status.message()))(status);
        let answer = self.inner.get_attestation(request).await.map_err(no_host)?;
        Ok(answer.into_inner().into())
    }

    pub(super) async fn token_create(
        &mut self,
        site: &SiteId,
        lifetime: Duration,
        max_uses: u64,
    ) -> anyhow::Result<(String, TokenReport)> {
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let request = wire::CreateEnrollmentTokenRequest { site: site.to_string(), lifetime_ms, max_uses };
        let answer = self.inner.create_enrollment_token(request).await.map_err(refused)?.into_inner();
        Ok((answer.token, answer.stored.context("the answer has no token")?.try_into()?))
    }

    pub(super) async fn token_list(&mut self) -> anyhow::Result<Vec<TokenReport>> {
        let answer = self.inner.list_enrollment_tokens(wire::ListEnrollmentTokensRequest {}).await.map_err(refused)?;
        all(answer.into_inner().tokens)
    }

    pub(super) async fn token_revoke(&mut self, id: &TokenId) -> anyhow::Result<()> {
        let request = wire::RevokeEnrollmentTokenRequest { id: id.to_string() };
        self.inner.revoke_enrollment_token(request).await.map_err(missing("list the tokens with `muster tokens`"))?;
        Ok(())
    }
}

fn account(account: Option<wire::Account>) -> anyhow::Result<AccountReport> {
    Ok(account.context("the answer has no account")?.try_into()?)
}

fn millis(span: Option<Duration>) -> u64 {
    span.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

fn tls(target: &Target) -> anyhow::Result<ClientConfig> {
    let file = || format!("the CA certificate {}", target.ca_file.display());
    let pem = std::fs::read(&target.ca_file).with_context(|| format!("cannot read {}", file()))?;
    let certificates: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.with_context(|| format!("cannot read {} as PEM", file()))?;
    // The parser accepts a file without any PEM block.
    anyhow::ensure!(!certificates.is_empty(), "cannot use {}: it has no certificate", file());
    let mut roots = RootCertStore::empty();
    if certificates.len() == 1 {
        for certificate in certificates {
            roots.add(certificate).with_context(|| format!("cannot use {}", file()))?;
        }
    } else {
        // The CAs of a system may include some of forms that nobody uses any more.
        let (added, ignored) = roots.add_parsable_certificates(certificates);
        anyhow::ensure!(added > 0, "cannot use {}: none of its {ignored} certificates is one of a CA", file());
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// A refusal with the advice for what was not found.
fn missing(remedy: &'static str) -> impl Fn(Status) -> anyhow::Error {
    move |status| {
        let remedy = (status.code() == Code::NotFound).then_some(remedy);
        refusal(&status, remedy).into()
    }
}

/// How to list what a message says is missing.
fn list_of(message: &str) -> &'static str {
    let lists = [("no account ", LIST_ACCOUNTS), ("no order ", LIST_ORDERS)];
    lists.into_iter().find(|(start, _)| message.starts_with(start)).map_or(LIST_HOSTS, |(_, list)| list)
}

/// A refusal of a list. Its user knows `--after`, where the collector speaks of a page token.
fn wrong_place<'a>(after: &'a Option<String>, remedy: &'static str) -> impl Fn(Status) -> anyhow::Error + 'a {
    move |status| match after {
        Some(after) if status.code() == Code::InvalidArgument && status.message() == NO_PAGE => Refused {
            code: status.code(),
            message: format!("--after {after:?} is not a value that an earlier list printed"),
            remedy: Some(BEGIN_AGAIN.to_owned()),
        }
        .into(),
        _ => missing(remedy)(status),
    }
}

/// A refusal of a command about one host: if several hosts have the name, the advice is that command for one of them.
fn no_host(command: &'static str, remedy: &'static str) -> impl Fn(Status) -> anyhow::Error {
    move |status| {
        if status.code() != Code::FailedPrecondition {
            return missing(remedy)(status);
        }
        // The host that reported last is most likely the one that is meant.
        let first = hosts_meant(status.details()).into_iter().max_by_key(|host| host.last_seen);
        let remedy = first.map(|host| format!("give an id instead of the name: `{command} {}`", host.id));
        refusal(&status, remedy.as_deref()).into()
    }
}

fn refused(status: Status) -> anyhow::Error {
    refusal(&status, None).into()
}

fn refusal(status: &Status, remedy: Option<&str>) -> Refused {
    let message = if status.code() == Code::Unavailable {
        format!("the collector is not available: {}", status.message())
    } else if status.code() == Code::DeadlineExceeded {
        "the collector did not answer in time".to_owned()
    } else {
        status.message().to_owned()
    };
    Refused { code: status.code(), message, remedy: remedy.map(str::to_owned) }
}

fn all<A, B>(items: Vec<A>) -> anyhow::Result<Vec<B>>
where
    B: TryFrom<A>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    items.into_iter().map(|item| B::try_from(item).map_err(anyhow::Error::from)).collect()
}

fn text<T: ToString>(id: Option<&T>) -> String {
    id.map(T::to_string).unwrap_or_default()
}

fn codes(lanes: &[Lane]) -> Vec<u32> {
    lanes.iter().map(|lane| u32::from(lane.code())).collect()
}

fn page_rows(limit: Option<usize>, had: usize) -> u32 {
    // Zero would mean the collector's default, so ask for at least one row.
    let left = limit.map_or(PAGE_ROWS, |limit| limit.saturating_sub(had).clamp(1, PAGE_ROWS));
    u32::try_from(left).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use muster_proto::convert::ambiguous_host;
    use muster_proto::model::{HostCandidate, HostId, Timestamp};

    use super::*;

    #[test]
    fn the_advice_for_an_ambiguous_host_is_the_command_for_the_one_that_reported_last() {
        let host = |n: u8, last_seen: Option<i64>| HostCandidate {
            id: HostId::from_bytes([n; 16]),
            hostname: "web-1".to_owned(),
            site: "hq".parse().expect("a site"),
            last_seen: last_seen.map(Timestamp::from_millis),
        };
        let detail = ambiguous_host(&[host(1, None), host(2, Some(5)), host(3, Some(4))]);
        let status = Status::with_details(Code::FailedPrecondition, "host \"web-1\" is ambiguous", detail.into());
        let refused = no_host("muster explain", LIST_HOSTS)(status);
        let expected = "give an id instead of the name: `muster explain 02020202-0202-0202-0202-020202020202`";
        assert_eq!(advice(&refused).as_deref(), Some(expected));
        let inactive = no_host("muster explain", LIST_HOSTS)(Status::failed_precondition("the order is not active"));
        assert_eq!(advice(&inactive), None);
        let unknown = no_host("muster explain", LIST_HOSTS)(Status::not_found("no host"));
        assert_eq!(advice(&unknown).as_deref(), Some(LIST_HOSTS));
    }

    #[test]
    fn the_advice_is_for_what_is_missing() {
        for (missing, expected) in [
            ("no host \"no-such\"", LIST_HOSTS),
            ("no account \"no-such\"", LIST_ACCOUNTS),
            ("no order \"no-such\"; did you mean \"such\"?", LIST_ORDERS),
        ] {
            assert_eq!(list_of(missing), expected, "{missing}");
        }
    }

    #[test]
    fn a_wrong_place_in_a_list_names_the_option_that_was_given() {
        let status = || Status::invalid_argument(NO_PAGE);
        let after = Some("xx".to_owned());
        let refused = wrong_place(&after, LIST_ORDERS)(status());
        assert_eq!(refused.to_string(), "--after \"xx\" is not a value that an earlier list printed");
        assert_eq!(advice(&refused).as_deref(), Some(BEGIN_AGAIN));
        let other = wrong_place(&after, LIST_ORDERS)(Status::not_found("no order \"foo\""));
        assert_eq!(advice(&other).as_deref(), Some(LIST_ORDERS));
    }
}
