//! FleetService: reads requests, queries `reports`, writes answers. Every number comes from `reports`.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use muster_proto::convert::ConvertError;
use muster_proto::limits;
use muster_proto::model::{
    CaPin, ChangesSort, FindingsSort, HostActionKind, HostMark, HostsSort, InvalidId, Lane, OrderId, ProductId, SiteId,
    Timestamp, TokenId,
};
use muster_proto::wire::{self, fleet_service_server::FleetService};
use tonic::{Request, Response, Status};

use crate::actions::{self, ActionError, Caller, EntryDecision, NewEnrollment, Passwords};
use crate::api::probes::Readiness;
use crate::api::{ResourceWatch, status};
use crate::clock::Clock;
use crate::config::Waivers;
use crate::filter::Filter;
use crate::reports::{
    ChangesAsked, FindingsQuery, HostsQuery, ReportContext, ReportError, RuleSets, Searches, SoftwareAsked, Timelines,
};
use crate::rules::RuleSet;
use crate::store::{Store, VersionFilter};
use crate::telemetry::Metrics;

const DEFAULT_ROWS: usize = 1000;
/// How far back changes are listed.
const DEFAULT_SPAN: Duration = Duration::from_secs(86_400);
const DEFAULT_LIFETIME: Duration = Duration::from_secs(86_400);

/// The operators' service.
pub struct Fleet {
    pub(super) store: Arc<dyn Store>,
    pub(super) rules: Arc<ArcSwap<RuleSet>>,
    pub(super) clock: Clock,
    ca_pin: CaPin,
    pub(super) metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    searches: Searches,
    pub(super) waivers: Waivers,
    /// The origin of the web board, if it is known.
    pub(super) public_url: Option<String>,
    resources: Arc<ResourceWatch>,
    /// Rules of the past that callers asked about lately.
    rule_sets: Arc<RuleSets>,
    timelines: Timelines,
    /// Hashes passwords, together with the pages.
    pub(super) passwords: Arc<Passwords>,
}

pub(super) type Answer<T> = Result<Response<T>, Status>;

impl Fleet {
    /// Serves from this store and these rules. `ca_pin` goes into new enrollment tokens; `readiness` knows about refused
    /// rules; `searches` and `timelines` bound what these take; `waivers` says how many people a waiver needs; `resources` counts what is used and has the metrics.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        rules: Arc<ArcSwap<RuleSet>>,
        clock: Clock,
        ca_pin: CaPin,
        readiness: Arc<Readiness>,
        (searches, timelines, waivers): (Searches, Timelines, Waivers),
        resources: Arc<ResourceWatch>,
    ) -> Self {
        let metrics = Arc::clone(resources.metrics());
        Self {
            store,
            rules,
            clock,
            ca_pin,
            metrics,
            readiness,
            searches,
            waivers,
            public_url: None,
            resources,
            rule_sets: Arc::default(),
            timelines,
            passwords: Arc::default(),
        }
    }

    /// Hashes passwords together with others who have this.
    #[must_use]
    pub fn with_passwords(self, passwords: Arc<Passwords>) -> Self {
        Self { passwords, ..self }
    }

    /// Login links begin with this origin.
    #[must_use]
    pub fn at(mut self, public_url: Option<String>) -> Self {
        self.public_url = public_url;
        self
    }

    /// Reports about what the caller may see.
    pub(super) fn context(&self, caller: &Caller) -> ReportContext {
        let rules = self.rules.load_full();
        ReportContext::new(Arc::clone(&self.store), rules, (self.clock)())
            .within(caller.scope.clone())
            .sharing(Arc::clone(&self.rule_sets))
            .taking_turns(self.timelines.clone())
    }

    pub(super) fn or_status<T>(&self, answer: Result<T, ReportError>) -> Result<T, Status> {
        answer.map_err(|refused| status::of_report(&refused, &self.metrics))
    }

    /// The filter of a request; an empty text is every host.
    pub(super) fn filter(&self, text: &str) -> Result<Filter, Status> {
        self.or_status(Filter::parse(text).map_err(ReportError::from))
    }

    pub(super) fn or_refused<T>(&self, outcome: Result<T, ActionError>) -> Result<T, Status> {
        outcome.map_err(|refused| status::of_action(&refused, &self.metrics))
    }
}

#[tonic::async_trait]
impl FleetService for Fleet {
    async fn get_status(&self, request: Request<wire::GetStatusRequest>) -> Answer<wire::GetStatusResponse> {
        let caller = caller(&request)?;
        let refused = self.readiness.rules_note.load().as_ref().map(|note| note.told.clone());
        let store_refuses = self.readiness.store_refuses.load().as_deref().cloned();
        let mut status = self.or_status(self.context(&caller).status(refused, store_refuses).await)?;
        status.resources = self.resources.resources();
        Ok(Response::new(status.into()))
    }

    async fn get_board(&self, request: Request<wire::GetBoardRequest>) -> Answer<wire::GetBoardResponse> {
        let caller = caller(&request)?;
        let wire::GetBoardRequest { order, as_of_ms } = request.into_inner();
        let order = optional("GetBoardRequest.order", order, OrderId::new)?;
        let context = self.context(&caller);
        let boards = match as_of_ms.map(Timestamp::from_millis) {
            Some(at) => context.board_at(order.as_ref(), at).await,
            None => context.board(order.as_ref()).await,
        };
        let boards = self.or_status(boards)?;
        Ok(Response::new(wire::GetBoardResponse { boards: into_all(boards) }))
    }

    async fn list_hosts(&self, request: Request<wire::ListHostsRequest>) -> Answer<wire::ListHostsResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let query = HostsQuery {
            order: optional("ListHostsRequest.order", request.order, OrderId::new)?,
            lanes: lanes("ListHostsRequest.lanes", &request.lanes)?,
            silent_only: request.silent_only,
            sites: sites("ListHostsRequest.sites", request.sites)?,
            sort: sort("ListHostsRequest.sort", request.sort, HostsSort::Name, HostsSort::from_code)?,
            name: short("ListHostsRequest.name", request.name)?,
            marks: marks("ListHostsRequest.marks", &request.marks)?,
            enrolled_with: optional("ListHostsRequest.enrolled_with", request.enrolled_with, TokenId::new)?,
            filter: self.filter(&request.filter)?,
            rows: rows(request.page_rows)?,
            // An absent string is empty in proto3.
            page: Some(request.page_token).filter(|token| !token.is_empty()),
        };
        let page = self.or_status(self.context(&caller).hosts(query).await)?;
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(wire::ListHostsResponse { hosts: into_all(page.rows), next_page_token, total: page.total }))
    }

    async fn get_host(&self, request: Request<wire::GetHostRequest>) -> Answer<wire::GetHostResponse> {
        let caller = caller(&request)?;
        let asked = short("GetHostRequest.host", request.into_inner().host)?;
        let host = self.or_status(self.context(&caller).host(&asked).await)?;
        Ok(Response::new(wire::GetHostResponse { host: Some(host.into()) }))
    }

    async fn explain_host(&self, request: Request<wire::ExplainHostRequest>) -> Answer<wire::ExplainHostResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let asked = short("ExplainHostRequest.host", request.host)?;
        let order = optional("ExplainHostRequest.order", request.order, OrderId::new)?;
        Ok(Response::new(self.or_status(self.context(&caller).explain(&asked, order.as_ref()).await)?.into()))
    }

    async fn search_software(
        &self,
        request: Request<wire::SearchSoftwareRequest>,
    ) -> Answer<wire::SearchSoftwareResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        // Here 0 means no hosts; for the other row counts it means the default.
        let hosts = if request.host_rows == 0 { 0 } else { rows(request.host_rows)? };
        let asked = SoftwareAsked {
            text: short("SearchSoftwareRequest.text", request.text)?,
            version: version(request.version, request.version_prefix)?,
            remnants: request.remnants,
            sites: sites("SearchSoftwareRequest.sites", request.sites)?,
            editions: rows(request.edition_rows)?,
            hosts,
            page: Some(request.page_token).filter(|token| !token.is_empty()),
        };
        let (report, next) = self.or_status(self.context(&caller).software(asked, &self.searches).await)?;
        let next_page_token = next.unwrap_or_default();
        Ok(Response::new(wire::SearchSoftwareResponse { next_page_token, ..report.into() }))
    }

    async fn list_findings(&self, request: Request<wire::ListFindingsRequest>) -> Answer<wire::ListFindingsResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let query = FindingsQuery {
            order: optional("ListFindingsRequest.order", request.order, OrderId::new)?,
            lanes: lanes("ListFindingsRequest.lanes", &request.lanes)?,
            sites: sites("ListFindingsRequest.sites", request.sites)?,
            filter: self.filter(&request.filter)?,
            sort: sort("ListFindingsRequest.sort", request.sort, FindingsSort::Lane, FindingsSort::from_code)?,
            rows: rows(request.page_rows)?,
            page: Some(request.page_token).filter(|token| !token.is_empty()),
        };
        let page = self.or_status(self.context(&caller).findings(query).await)?;
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(wire::ListFindingsResponse {
            findings: into_all(page.rows),
            next_page_token,
            total: page.total,
        }))
    }

    async fn list_changes(&self, request: Request<wire::ListChangesRequest>) -> Answer<wire::ListChangesResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let asked = ChangesAsked {
            span: if request.span_ms == 0 { DEFAULT_SPAN } else { Duration::from_millis(request.span_ms) },
            order: optional("ListChangesRequest.order", request.order, OrderId::new)?,
            sites: sites("ListChangesRequest.sites", request.sites)?,
            filter: self.filter(&request.filter)?,
            only: None,
            sort: sort("ListChangesRequest.sort", request.sort, ChangesSort::default(), ChangesSort::from_code)?,
            rows: rows(request.page_rows)?,
            page: Some(request.page_token).filter(|token| !token.is_empty()),
        };
        let (report, next) = self.or_status(self.context(&caller).changes(asked).await)?;
        let next_page_token = next.unwrap_or_default();
        Ok(Response::new(wire::ListChangesResponse { next_page_token, ..report.into() }))
    }

    async fn list_past_hosts(
        &self,
        request: Request<wire::ListPastHostsRequest>,
    ) -> Answer<wire::ListPastHostsResponse> {
        self.past_host_list(&caller(&request)?, request.into_inner()).await
    }

    async fn get_past_host(&self, request: Request<wire::GetPastHostRequest>) -> Answer<wire::GetPastHostResponse> {
        self.past_host_get(&caller(&request)?, request.into_inner()).await
    }

    async fn get_timeline(&self, request: Request<wire::GetTimelineRequest>) -> Answer<wire::GetTimelineResponse> {
        self.timeline_get(&caller(&request)?, request.into_inner()).await
    }

    async fn get_forecast(&self, request: Request<wire::GetForecastRequest>) -> Answer<wire::GetForecastResponse> {
        self.forecast_get(&caller(&request)?, request.into_inner()).await
    }

    async fn list_orders(&self, request: Request<wire::ListOrdersRequest>) -> Answer<wire::ListOrdersResponse> {
        let caller = caller(&request)?;
        let orders = self.context(&caller).orders(request.into_inner().all);
        Ok(Response::new(wire::ListOrdersResponse { orders: into_all(orders) }))
    }

    async fn get_order_files(
        &self,
        request: Request<wire::GetOrderFilesRequest>,
    ) -> Answer<wire::GetOrderFilesResponse> {
        self.order_files(&caller(&request)?, request.into_inner()).await
    }

    async fn apply_orders(&self, request: Request<wire::ApplyOrdersRequest>) -> Answer<wire::ChangeOrdersResponse> {
        self.orders_apply(&caller(&request)?, request.into_inner()).await
    }

    async fn switch_order(&self, request: Request<wire::SwitchOrderRequest>) -> Answer<wire::ChangeOrdersResponse> {
        self.order_switch(&caller(&request)?, request.into_inner()).await
    }

    async fn list_duties(&self, request: Request<wire::ListDutiesRequest>) -> Answer<wire::ListDutiesResponse> {
        self.duty_list(&caller(&request)?, request.into_inner()).await
    }

    async fn get_duty(&self, request: Request<wire::GetDutyRequest>) -> Answer<wire::GetDutyResponse> {
        self.duty_get(&caller(&request)?, request.into_inner()).await
    }

    async fn finish_duty(&self, request: Request<wire::FinishDutyRequest>) -> Answer<wire::FinishDutyResponse> {
        self.duty_finish(&caller(&request)?, request.into_inner()).await
    }

    async fn import_roster(
        &self,
        request: Request<tonic::Streaming<wire::ImportRosterRequest>>,
    ) -> Answer<wire::ImportRosterResponse> {
        self.roster_import(&caller(&request)?, request.into_inner()).await
    }

    async fn list_roster(&self, request: Request<wire::ListRosterRequest>) -> Answer<wire::ListRosterResponse> {
        self.roster_list(&caller(&request)?, request.into_inner()).await
    }

    async fn get_roster_entry(
        &self,
        request: Request<wire::GetRosterEntryRequest>,
    ) -> Answer<wire::GetRosterEntryResponse> {
        self.roster_entry(&caller(&request)?, request.into_inner().number).await
    }

    async fn list_roster_sources(
        &self,
        request: Request<wire::ListRosterSourcesRequest>,
    ) -> Answer<wire::ListRosterSourcesResponse> {
        self.roster_sources(&caller(&request)?).await
    }

    async fn match_roster_entry(
        &self,
        request: Request<wire::MatchRosterEntryRequest>,
    ) -> Answer<wire::GetRosterEntryResponse> {
        self.roster_match(&caller(&request)?, request.into_inner()).await
    }

    async fn unmatch_roster_entry(
        &self,
        request: Request<wire::UnmatchRosterEntryRequest>,
    ) -> Answer<wire::GetRosterEntryResponse> {
        let caller = caller(&request)?;
        self.roster_decide(&caller, request.into_inner().number, EntryDecision::Unmatch).await
    }

    async fn excuse_roster_entry(
        &self,
        request: Request<wire::ExcuseRosterEntryRequest>,
    ) -> Answer<wire::GetRosterEntryResponse> {
        let caller = caller(&request)?;
        let wire::ExcuseRosterEntryRequest { number, reason } = request.into_inner();
        self.roster_decide(&caller, number, EntryDecision::Excuse(reason)).await
    }

    async fn change_hosts(
        &self,
        request: Request<tonic::Streaming<wire::ChangeHostsRequest>>,
    ) -> Answer<wire::ChangeHostsResponse> {
        self.hosts_change(&caller(&request)?, request.into_inner()).await
    }

    async fn list_bulk_changes(
        &self,
        request: Request<wire::ListBulkChangesRequest>,
    ) -> Answer<wire::ListBulkChangesResponse> {
        self.bulk_list(&caller(&request)?).await
    }

    async fn get_bulk_change(
        &self,
        request: Request<wire::GetBulkChangeRequest>,
    ) -> Answer<wire::GetBulkChangeResponse> {
        self.bulk_get(&caller(&request)?, request.into_inner().number).await
    }

    async fn ask_waiver(
        &self,
        request: Request<tonic::Streaming<wire::AskWaiverRequest>>,
    ) -> Answer<wire::GetWaiverResponse> {
        self.waiver_ask(&caller(&request)?, request.into_inner()).await
    }

    async fn list_waivers(&self, request: Request<wire::ListWaiversRequest>) -> Answer<wire::ListWaiversResponse> {
        self.waiver_list(&caller(&request)?, request.into_inner()).await
    }

    async fn get_waiver(&self, request: Request<wire::GetWaiverRequest>) -> Answer<wire::GetWaiverResponse> {
        self.waiver_get(&caller(&request)?, request.into_inner()).await
    }

    async fn decide_waiver(&self, request: Request<wire::DecideWaiverRequest>) -> Answer<wire::GetWaiverResponse> {
        self.waiver_decide(&caller(&request)?, request.into_inner()).await
    }

    async fn retire_hosts(
        &self,
        request: Request<tonic::Streaming<wire::RetireHostsRequest>>,
    ) -> Answer<wire::RetireHostsResponse> {
        self.hosts_retire(&caller(&request)?, request.into_inner()).await
    }

    async fn unretire_hosts(
        &self,
        request: Request<tonic::Streaming<wire::UnretireHostsRequest>>,
    ) -> Answer<wire::HostActionResponse> {
        self.hosts_unretire(&caller(&request)?, request.into_inner()).await
    }

    async fn list_dispositions(
        &self,
        request: Request<wire::ListDispositionsRequest>,
    ) -> Answer<wire::ListDispositionsResponse> {
        self.disposition_list(&caller(&request)?, request.into_inner()).await
    }

    async fn get_disposition(
        &self,
        request: Request<wire::GetDispositionRequest>,
    ) -> Answer<wire::GetDispositionResponse> {
        self.disposition_get(&caller(&request)?, request.into_inner().number).await
    }

    async fn decide_disposition(
        &self,
        request: Request<wire::DecideDispositionRequest>,
    ) -> Answer<wire::GetDispositionResponse> {
        self.disposition_decide(&caller(&request)?, request.into_inner()).await
    }

    async fn get_checkpoint(
        &self,
        request: Request<wire::GetCheckpointRequest>,
    ) -> Answer<wire::GetCheckpointResponse> {
        self.checkpoint(&caller(&request)?).await
    }

    async fn list_leaves(&self, request: Request<wire::ListLeavesRequest>) -> Answer<wire::ListLeavesResponse> {
        self.leaf_list(&caller(&request)?, request.into_inner()).await
    }

    async fn list_products(&self, request: Request<wire::ListProductsRequest>) -> Answer<wire::ListProductsResponse> {
        let caller = caller(&request)?;
        let context = self.context(&caller);
        let (products, rules_version) = (into_all(context.products()), context.rules_version().to_owned());
        Ok(Response::new(wire::ListProductsResponse { products, rules_version }))
    }

    async fn get_product(&self, request: Request<wire::GetProductRequest>) -> Answer<wire::GetProductResponse> {
        let caller = caller(&request)?;
        let id = required("GetProductRequest.id", request.into_inner().id, ProductId::new)?;
        let product = self.or_status(self.context(&caller).product(&id))?;
        Ok(Response::new(wire::GetProductResponse { product: Some(product.into()) }))
    }

    async fn create_enrollment_token(
        &self,
        request: Request<wire::CreateEnrollmentTokenRequest>,
    ) -> Answer<wire::CreateEnrollmentTokenResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let lifetime = Some(request.lifetime_ms).filter(|millis| *millis > 0).map(Duration::from_millis);
        let new = NewEnrollment {
            site: required("CreateEnrollmentTokenRequest.site", request.site, SiteId::new)?,
            lifetime: lifetime.unwrap_or(DEFAULT_LIFETIME),
            max_uses: request.max_uses,
        };
        let store = self.store.as_ref();
        let created = actions::enrollment_token_create(store, &caller, self.ca_pin, new, (self.clock)()).await;
        let (token, stored) = self.or_refused(created)?;
        // The id only: the secret must not reach the log.
        tracing::info!(token.id = %stored.id, site = %stored.site, "created an enrollment token");
        Ok(Response::new(wire::CreateEnrollmentTokenResponse { token: token.to_string(), stored: Some(stored.into()) }))
    }

    async fn list_enrollment_tokens(
        &self,
        request: Request<wire::ListEnrollmentTokensRequest>,
    ) -> Answer<wire::ListEnrollmentTokensResponse> {
        let caller = caller(&request)?;
        let tokens = self.or_refused(actions::enrollment_token_list(self.store.as_ref(), &caller).await)?;
        Ok(Response::new(wire::ListEnrollmentTokensResponse { tokens: into_all(tokens) }))
    }

    async fn revoke_enrollment_token(
        &self,
        request: Request<wire::RevokeEnrollmentTokenRequest>,
    ) -> Answer<wire::RevokeEnrollmentTokenResponse> {
        let caller = caller(&request)?;
        let id = required("RevokeEnrollmentTokenRequest.id", request.into_inner().id, TokenId::new)?;
        let store = self.store.as_ref();
        let revoked = actions::enrollment_token_revoke(store, &caller, id.clone(), (self.clock)()).await;
        if !self.or_refused(revoked)? {
            return Err(Status::not_found(format!("no enrollment token \"{id}\"")));
        }
        tracing::info!(token.id = %id, "revoked an enrollment token");
        Ok(Response::new(wire::RevokeEnrollmentTokenResponse {}))
    }

    async fn revoke_hosts(&self, request: Request<wire::HostActionRequest>) -> Answer<wire::HostActionResponse> {
        self.host_action(&caller(&request)?, HostActionKind::Revoke, request.into_inner()).await
    }

    async fn release_hosts(&self, request: Request<wire::HostActionRequest>) -> Answer<wire::HostActionResponse> {
        self.host_action(&caller(&request)?, HostActionKind::Release, request.into_inner()).await
    }

    async fn review_hosts(&self, request: Request<wire::HostActionRequest>) -> Answer<wire::HostActionResponse> {
        self.host_action(&caller(&request)?, HostActionKind::Review, request.into_inner()).await
    }

    async fn purge_hosts(&self, request: Request<wire::HostActionRequest>) -> Answer<wire::HostActionResponse> {
        self.host_action(&caller(&request)?, HostActionKind::Purge, request.into_inner()).await
    }

    async fn get_caller(&self, request: Request<wire::GetCallerRequest>) -> Answer<wire::GetCallerResponse> {
        self.caller_get(&caller(&request)?).await
    }

    async fn create_login_link(
        &self,
        request: Request<wire::CreateLoginLinkRequest>,
    ) -> Answer<wire::CreateLoginLinkResponse> {
        let caller = caller(&request)?;
        self.login_link_create(&caller).await
    }

    async fn list_accounts(&self, request: Request<wire::ListAccountsRequest>) -> Answer<wire::ListAccountsResponse> {
        self.account_list(&caller(&request)?).await
    }

    async fn get_account(&self, request: Request<wire::GetAccountRequest>) -> Answer<wire::GetAccountResponse> {
        self.account_get(&caller(&request)?, request.into_inner()).await
    }

    async fn create_account(
        &self,
        request: Request<wire::CreateAccountRequest>,
    ) -> Answer<wire::CreateAccountResponse> {
        self.account_create(&caller(&request)?, request.into_inner()).await
    }

    async fn rotate_account(
        &self,
        request: Request<wire::RotateAccountRequest>,
    ) -> Answer<wire::RotateAccountResponse> {
        self.account_rotate(&caller(&request)?, request.into_inner()).await
    }

    async fn revoke_account(
        &self,
        request: Request<wire::RevokeAccountRequest>,
    ) -> Answer<wire::RevokeAccountResponse> {
        self.account_revoke(&caller(&request)?, request.into_inner()).await
    }

    async fn set_password(&self, request: Request<wire::SetPasswordRequest>) -> Answer<wire::SetPasswordResponse> {
        self.password_set(&caller(&request)?, request.into_inner()).await
    }

    async fn list_ledger(&self, request: Request<wire::ListLedgerRequest>) -> Answer<wire::ListLedgerResponse> {
        self.ledger_list(&caller(&request)?, request.into_inner()).await
    }

    async fn get_ledger_entry(
        &self,
        request: Request<wire::GetLedgerEntryRequest>,
    ) -> Answer<wire::GetLedgerEntryResponse> {
        let caller = caller(&request)?;
        let entry = self.or_status(self.context(&caller).ledger_entry(request.into_inner().number).await)?;
        Ok(Response::new(wire::GetLedgerEntryResponse { entry: Some(entry.into()) }))
    }

    async fn list_attestations(
        &self,
        request: Request<wire::ListAttestationsRequest>,
    ) -> Answer<wire::ListAttestationsResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let (rows, page) = (rows(request.page_rows)?, Some(request.page_token).filter(|token| !token.is_empty()));
        let page = self.or_status(self.context(&caller).attestations(rows, page.as_deref()).await)?;
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(wire::ListAttestationsResponse { attestations: into_all(page.rows), next_page_token }))
    }

    async fn get_attestation(
        &self,
        request: Request<wire::GetAttestationRequest>,
    ) -> Answer<wire::GetAttestationResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let asked = short("GetAttestationRequest.host", request.host)?;
        let order = optional("GetAttestationRequest.order", request.order, OrderId::new)?;
        let attestation = self.context(&caller).attestation(&asked, order.as_ref()).await;
        Ok(Response::new(self.or_status(attestation)?.into()))
    }
}

/// Who calls. The access checks in front of the service have put it there.
fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>().cloned();
    caller.ok_or_else(|| Status::internal("the call has no caller"))
}

pub(super) fn into_all<A, B: From<A>>(items: Vec<A>) -> Vec<B> {
    items.into_iter().map(B::from).collect()
}

pub(super) fn required<T>(
    field: &'static str,
    text: String,
    read: impl Fn(String) -> Result<T, InvalidId>,
) -> Result<T, Status> {
    read(text).map_err(|source| status::malformed(&ConvertError::Id { field, source }))
}

pub(super) fn optional<T>(
    field: &'static str,
    text: String,
    read: impl Fn(String) -> Result<T, InvalidId>,
) -> Result<Option<T>, Status> {
    if text.is_empty() { Ok(None) } else { required(field, text, read).map(Some) }
}

/// A version, or the start of one.
fn version(exactly: String, start: String) -> Result<VersionFilter, Status> {
    let exactly = short("SearchSoftwareRequest.version", exactly)?;
    let start = short("SearchSoftwareRequest.version_prefix", start)?;
    match (exactly.is_empty(), start.is_empty()) {
        (true, true) => Ok(VersionFilter::Any),
        (false, true) => Ok(VersionFilter::Exactly(exactly)),
        (true, false) => Ok(VersionFilter::StartsWith(start)),
        (false, false) => Err(Status::invalid_argument("give a version or the start of a version, not both")),
    }
}

pub(super) fn sites(field: &'static str, ids: Vec<String>) -> Result<Vec<SiteId>, Status> {
    if ids.len() > limits::PAGE_ROWS {
        let (value, limit) = (ids.len(), limits::PAGE_ROWS);
        return Err(status::malformed(&ConvertError::Limit { field, value, limit_name: "PAGE_ROWS", limit }));
    }
    ids.into_iter().map(|id| required(field, id, SiteId::new)).collect()
}

/// A sort by its code; 0 is the default.
fn sort<T>(field: &'static str, code: u32, default: T, from_code: impl Fn(u8) -> Option<T>) -> Result<T, Status> {
    if code == 0 {
        return Ok(default);
    }
    let found = u8::try_from(code).ok().and_then(from_code);
    found.ok_or_else(|| status::malformed(&ConvertError::Code { field, code }))
}

pub(super) fn lanes(field: &'static str, codes: &[u32]) -> Result<Vec<Lane>, Status> {
    let lane = |code: &u32| {
        let lane = u8::try_from(*code).ok().and_then(Lane::from_code);
        lane.ok_or_else(|| status::malformed(&ConvertError::Code { field, code: *code }))
    };
    codes.iter().map(lane).collect()
}

fn marks(field: &'static str, codes: &[u32]) -> Result<Vec<HostMark>, Status> {
    let mark = |code: &u32| {
        let mark = u8::try_from(*code).ok().and_then(HostMark::from_code);
        mark.ok_or_else(|| status::malformed(&ConvertError::Code { field, code: *code }))
    };
    codes.iter().map(mark).collect()
}

pub(super) fn short(field: &'static str, text: String) -> Result<String, Status> {
    let limit = limits::HOSTNAME_BYTES;
    if text.len() > limit {
        let refused = ConvertError::Limit { field, value: text.len(), limit_name: "HOSTNAME_BYTES", limit };
        return Err(status::malformed(&refused));
    }
    // PostgreSQL cannot compare with it.
    if text.contains('\0') {
        return Err(Status::invalid_argument(format!("{field}: the character U+0000 is not allowed")));
    }
    Ok(text)
}

pub(super) fn rows(asked: u32) -> Result<usize, Status> {
    let rows = usize::try_from(asked).unwrap_or(usize::MAX);
    match rows {
        0 => Ok(DEFAULT_ROWS),
        rows if rows <= limits::PAGE_ROWS => Ok(rows),
        value => Err(status::malformed(&ConvertError::Limit {
            field: "page_rows",
            value,
            limit_name: "PAGE_ROWS",
            limit: limits::PAGE_ROWS,
        })),
    }
}
