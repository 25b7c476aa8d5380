//! Who may call which method of FleetService: the lowest role, and what a caller that is bound to sites gets.

use muster_proto::model::Role;

/// The address of the page that uses up a login link.
pub(super) const LOGIN_LINK: &str = "/login/link";

pub(super) const SERVICE: &str = "muster.v1.FleetService";

/// What a method does for a caller that is bound to sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SiteRule {
    /// The answer has nothing of any site: rules, the version, the caller's own account.
    NoSite,
    /// The answer has only what belongs to the caller's sites. Its only numbers of the whole collector are the length and
    /// the lag of the judge queue.
    Filtered,
    /// What the request names must belong to the caller's sites; otherwise it does not exist, or is refused.
    Named,
    /// Refused: the answer cannot be divided by site.
    WholeFleet,
}

/// The rule of a method.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    pub(super) name: &'static str,
    /// The lowest role that may call it.
    pub(super) role: Role,
    pub(super) sites: SiteRule,
}

const fn method(name: &'static str, role: Role, sites: SiteRule) -> Method {
    Method { name, role, sites }
}

/// Every method of the service.
pub(super) const METHODS: [Method; 61] = [
    method("GetStatus", Role::Viewer, SiteRule::Filtered),
    method("GetBoard", Role::Viewer, SiteRule::Filtered),
    method("ListHosts", Role::Viewer, SiteRule::Filtered),
    method("GetHost", Role::Viewer, SiteRule::Named),
    method("ExplainHost", Role::Viewer, SiteRule::Named),
    method("SearchSoftware", Role::Viewer, SiteRule::Filtered),
    method("ListFindings", Role::Viewer, SiteRule::Filtered),
    method("ListChanges", Role::Viewer, SiteRule::Filtered),
    method("ListPastHosts", Role::Viewer, SiteRule::Filtered),
    method("GetPastHost", Role::Viewer, SiteRule::Named),
    method("GetTimeline", Role::Viewer, SiteRule::Filtered),
    method("GetForecast", Role::Viewer, SiteRule::Filtered),
    method("ListOrders", Role::Viewer, SiteRule::NoSite),
    method("GetOrderFiles", Role::Viewer, SiteRule::NoSite),
    method("ApplyOrders", Role::Admin, SiteRule::WholeFleet),
    method("SwitchOrder", Role::Admin, SiteRule::WholeFleet),
    method("ListDuties", Role::Viewer, SiteRule::Filtered),
    method("GetDuty", Role::Viewer, SiteRule::Named),
    method("FinishDuty", Role::Operator, SiteRule::Named),
    method("ImportRoster", Role::Operator, SiteRule::WholeFleet),
    method("ListRoster", Role::Viewer, SiteRule::Filtered),
    method("GetRosterEntry", Role::Viewer, SiteRule::Named),
    method("ListRosterSources", Role::Viewer, SiteRule::WholeFleet),
    method("MatchRosterEntry", Role::Operator, SiteRule::Named),
    method("UnmatchRosterEntry", Role::Operator, SiteRule::Named),
    method("ExcuseRosterEntry", Role::Operator, SiteRule::Named),
    method("AskWaiver", Role::Operator, SiteRule::Named),
    method("ListWaivers", Role::Viewer, SiteRule::Filtered),
    method("GetWaiver", Role::Viewer, SiteRule::Named),
    method("DecideWaiver", Role::Operator, SiteRule::Named),
    method("RetireHosts", Role::Operator, SiteRule::Named),
    method("UnretireHosts", Role::Operator, SiteRule::Named),
    method("ListDispositions", Role::Viewer, SiteRule::Filtered),
    method("GetDisposition", Role::Viewer, SiteRule::Named),
    method("DecideDisposition", Role::Operator, SiteRule::Named),
    method("ListProducts", Role::Viewer, SiteRule::NoSite),
    method("GetProduct", Role::Viewer, SiteRule::NoSite),
    method("CreateEnrollmentToken", Role::Operator, SiteRule::Named),
    method("ListEnrollmentTokens", Role::Viewer, SiteRule::Filtered),
    method("RevokeEnrollmentToken", Role::Operator, SiteRule::Named),
    method("RevokeHosts", Role::Operator, SiteRule::Named),
    method("ReleaseHosts", Role::Operator, SiteRule::Named),
    method("ReviewHosts", Role::Operator, SiteRule::Named),
    method("PurgeHosts", Role::Operator, SiteRule::Named),
    method("ChangeHosts", Role::Operator, SiteRule::Filtered),
    method("ListBulkChanges", Role::Viewer, SiteRule::Filtered),
    method("GetBulkChange", Role::Viewer, SiteRule::Named),
    method("GetCaller", Role::Viewer, SiteRule::NoSite),
    method("CreateLoginLink", Role::Viewer, SiteRule::NoSite),
    method("ListAccounts", Role::Admin, SiteRule::Filtered),
    method("GetAccount", Role::Admin, SiteRule::Named),
    method("CreateAccount", Role::Admin, SiteRule::Named),
    method("RotateAccount", Role::Admin, SiteRule::Named),
    method("RevokeAccount", Role::Admin, SiteRule::Named),
    // The own one; for that of another account, the rule of RevokeAccount comes on top.
    method("SetPassword", Role::Viewer, SiteRule::NoSite),
    method("ListLedger", Role::Viewer, SiteRule::WholeFleet),
    method("GetLedgerEntry", Role::Viewer, SiteRule::WholeFleet),
    method("GetCheckpoint", Role::Viewer, SiteRule::WholeFleet),
    method("ListLeaves", Role::Viewer, SiteRule::WholeFleet),
    method("ListAttestations", Role::Viewer, SiteRule::Filtered),
    method("GetAttestation", Role::Viewer, SiteRule::Named),
];

/// The rule of a method of the service; an unknown one needs the highest role.
pub(super) fn rule_of_method(name: &str) -> (Role, SiteRule) {
    let found = METHODS.iter().find(|method| method.name == name);
    found.map_or((Role::Admin, SiteRule::WholeFleet), |method| (method.role, method.sites))
}

/// The name of the method, if the path belongs to this service.
pub(super) fn method_of<'p>(path: &'p str, service: &str) -> Option<&'p str> {
    path.strip_prefix('/')?.strip_prefix(service)?.strip_prefix('/')
}

/// The rule of a path. An unknown method needs the highest role. Reflection and unknown services tell nothing about the
/// fleet, but they still need a token.
pub(super) fn rule_of(path: &str) -> (Role, SiteRule) {
    method_of(path, SERVICE).map_or((Role::Viewer, SiteRule::NoSite), rule_of_method)
}
