//! Pure: the groups of a person to a role and sites.

use std::collections::BTreeMap;

use muster_proto::model::{Role, SiteId};

/// What a person may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The highest role of the groups.
    pub role: Role,
    /// The sites of the groups, sorted; empty means all sites.
    pub sites: Vec<SiteId>,
}

/// Why a person is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoGrant {
    /// The provider says nothing about groups.
    NoGroups,
    /// No group has a role.
    NoRole,
    /// A group has a role, but none has a site.
    NoSite,
}

/// What somebody in these groups may do. Without any site in the settings, everybody sees all sites.
pub(super) fn grant(
    groups: Option<&[String]>,
    roles: &BTreeMap<String, Role>,
    sites: &BTreeMap<String, Option<SiteId>>,
) -> Result<Grant, NoGrant> {
    let groups = groups.ok_or(NoGrant::NoGroups)?;
    let role = groups.iter().filter_map(|group| roles.get(group)).max().copied().ok_or(NoGrant::NoRole)?;
    let mut own: Vec<Option<&SiteId>> =
        groups.iter().filter_map(|group| sites.get(group)).map(Option::as_ref).collect();
    if own.is_empty() && !sites.is_empty() {
        return Err(NoGrant::NoSite);
    }
    if own.contains(&None) {
        own.clear();
    }
    let mut sites: Vec<SiteId> = own.into_iter().flatten().cloned().collect();
    sites.sort_unstable();
    sites.dedup();
    Ok(Grant { role, sites })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_role_and_all_sites_of_the_groups_count() {
        let site = |name: &str| SiteId::new(name).expect("a site");
        let roles = [("view", Role::Viewer), ("ops", Role::Operator), ("root", Role::Admin)];
        let roles = roles.map(|(group, role)| (group.to_owned(), role)).into();
        let bound = [("hq", Some(site("hq"))), ("lab", Some(site("lab"))), ("all", None)];
        let bound = bound.map(|(group, site)| (group.to_owned(), site)).into();
        let ask = |groups: &[&str], sites: &BTreeMap<String, Option<SiteId>>| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            grant(Some(&groups), &roles, sites)
        };
        let free = BTreeMap::new();
        let granted = |role, sites: &[&str]| Ok(Grant { role, sites: sites.iter().copied().map(site).collect() });
        assert_eq!(ask(&["staff", "view", "ops"], &free), granted(Role::Operator, &[]));
        assert_eq!(ask(&["ops", "view", "lab", "hq", "hq"], &bound), granted(Role::Operator, &["hq", "lab"]));
        assert_eq!(ask(&["view", "hq", "all"], &bound), granted(Role::Viewer, &[]), "one of them is all sites");
        // Nobody comes in by a group that is not named, in another spelling, or without a site where sites are named.
        assert_eq!(ask(&["staff", "OPS", "ops ", "admin"], &free), Err(NoGrant::NoRole));
        assert_eq!(ask(&["hq"], &bound), Err(NoGrant::NoRole));
        assert_eq!(ask(&["root"], &bound), Err(NoGrant::NoSite));
        assert_eq!(ask(&[], &free), Err(NoGrant::NoRole));
        assert_eq!(grant(None, &roles, &free), Err(NoGrant::NoGroups));
    }
}
