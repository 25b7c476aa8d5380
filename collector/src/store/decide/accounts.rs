//! Accounts: who may create, rotate and revoke which account, and which account must stay.

use muster_proto::model::{AccountName, AccountReport, Holder, Role, SiteId, Timestamp};

use crate::store::SiteScope;

/// Most accounts that are not revoked.
const MAX_ACCOUNTS: usize = 1_000;
/// Most accounts, revoked ones included. Beyond it, the ones that were revoked first are forgotten; the ledger then shows
/// their ids.
const MAX_ROWS: usize = 10_000;
/// Actors of the ledger that are no accounts; an account of this name would look like one of them.
const RESERVED: [&str; 4] = ["collector", "rules", "judge", "agent"];
/// The account that a new collector creates.
const FIRST: &str = "admin";
/// Most sites to which an account is bound.
pub(in crate::store) const MAX_SITES: usize = 100;

/// Why an operation on an account was refused. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountRefusal {
    /// There is no such account, or the caller may not see it.
    Unknown,
    /// Another account has the name.
    NameTaken,
    /// Another account, which the caller may not see, has the name.
    NameUnavailable,
    /// The name is that of an actor which is no account, or the id of an account.
    NameReserved,
    /// The account is revoked.
    Revoked,
    /// It is the last account of a person that can administer the whole fleet.
    LastAdmin,
    /// The caller is bound to sites, and the new account would see more.
    BeyondCaller,
    /// There are as many accounts as there may be.
    TooMany,
    /// The account is bound to too many sites.
    TooManySites,
    /// The account has no password that could be removed.
    NoPassword,
    /// The account is not held by a person who logs in here, so it cannot have a password.
    NoPerson,
    /// The account is that of a person of the identity provider, which has no token.
    FromProvider,
}

/// Whether a caller with this scope may create an account, given the accounts that exist.
pub(in crate::store) fn may_create(
    caller: &SiteScope,
    name: &str,
    sites: &[SiteId],
    existing: &[AccountReport],
) -> Result<(), AccountRefusal> {
    let is_active = |account: &&AccountReport| account.revoked_at.is_none();
    let holder = existing.iter().filter(is_active).find(|account| account.name.as_str() == name);
    let is_reserved = RESERVED.contains(&name) || existing.iter().any(|account| account.id.as_str() == name);
    if !caller.covers(&SiteScope::of(sites)) {
        Err(AccountRefusal::BeyondCaller)
    } else if sites.len() > MAX_SITES {
        Err(AccountRefusal::TooManySites)
    } else if is_reserved {
        Err(AccountRefusal::NameReserved)
    } else if let Some(holder) = holder {
        let is_visible = caller.covers(&SiteScope::of(&holder.sites));
        Err(if is_visible { AccountRefusal::NameTaken } else { AccountRefusal::NameUnavailable })
    } else if existing.iter().filter(is_active).count() >= MAX_ACCOUNTS
        || (existing.len() >= MAX_ROWS && to_forget(existing).is_none())
    {
        Err(AccountRefusal::TooMany)
    } else {
        Ok(())
    }
}

/// The account that is forgotten before another one is created: the one that was revoked first, if there are as many as
/// are kept. That of a person of the identity provider is never forgotten: the person would be let in again.
pub(in crate::store) fn to_forget(existing: &[AccountReport]) -> Option<&AccountReport> {
    let revoked =
        existing.iter().filter(|account| account.revoked_at.is_some() && account.holder != Holder::ProviderPerson);
    revoked.min_by_key(|account| (account.revoked_at, &account.id)).filter(|_| existing.len() >= MAX_ROWS)
}

/// The account that a caller means by its id or its name. Of several accounts that had a name, the one that is not
/// revoked counts, then the newest.
pub(in crate::store) fn find<'a>(
    caller: &SiteScope,
    name_or_id: &str,
    existing: &'a [AccountReport],
) -> Result<&'a AccountReport, AccountRefusal> {
    let visible = || existing.iter().filter(|account| caller.covers(&SiteScope::of(&account.sites)));
    let by_name = || {
        let named = visible().filter(|account| account.name.as_str() == name_or_id);
        named.max_by_key(|account| (account.revoked_at.is_none(), account.created_at))
    };
    // The id first: ids are never given twice, so nobody can take the place of another account by its name.
    let by_id = visible().find(|account| account.id.as_str() == name_or_id);
    by_id.or_else(by_name).ok_or(AccountRefusal::Unknown)
}

/// A name for the account of a person of the identity provider: the wanted one, or the first with a number that nobody has. The first
/// account of a collector is known by its name, so none of these gets it.
pub(in crate::store) fn free_name(
    wanted: &AccountName,
    existing: &[AccountReport],
) -> Result<AccountName, AccountRefusal> {
    let is_taken = |name: &str| {
        let has = |account: &AccountReport| account.name.as_str() == name && account.revoked_at.is_none();
        name == FIRST
            || RESERVED.contains(&name)
            || existing.iter().any(|account| has(account) || account.id.as_str() == name)
    };
    let numbered = (2..=existing.len() + 3 + RESERVED.len()).map(|number| format!("{wanted}-{number}"));
    let free = std::iter::once(wanted.to_string()).chain(numbered).find(|name| !is_taken(name));
    free.and_then(|name| AccountName::new(name).ok()).ok_or(AccountRefusal::NameUnavailable)
}

/// Whether an account may be revoked: somebody must be left who can administer the whole fleet. A machine does not count,
/// because its token is in a file that may be lost.
pub(in crate::store) fn may_revoke(
    account: &AccountReport,
    existing: &[AccountReport],
    now: Timestamp,
) -> Result<(), AccountRefusal> {
    let administers = |account: &AccountReport| {
        account.role == Role::Admin
            && account.holder == Holder::Person
            && account.sites.is_empty()
            && account.is_usable(now)
    };
    let is_another_left = existing.iter().any(|other| other.id != account.id && administers(other));
    if administers(account) && !is_another_left { Err(AccountRefusal::LastAdmin) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{AccountId, AccountTokenReport, TokenId};

    use super::*;

    fn account(name: &str, role: Role, sites: &[&str]) -> AccountReport {
        let at = Timestamp::from_millis(0);
        AccountReport {
            id: AccountId::new(format!("id-{name}")).expect("an id"),
            name: AccountName::new(name).expect("a name"),
            role,
            holder: Holder::Person,
            sites: sites.iter().map(|site| SiteId::new(*site).expect("a site")).collect(),
            created_at: at,
            revoked_at: None,
            password_set_at: None,
            tokens: vec![AccountTokenReport {
                id: TokenId::new(format!("t-{name}")).expect("an id"),
                created_at: at,
                expires_at: None,
                revoked_at: None,
            }],
        }
    }

    fn scope(sites: &[&str]) -> SiteScope {
        SiteScope::of(&sites.iter().map(|site| SiteId::new(*site).expect("a site")).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_admin_of_the_fleet_stays() {
        let now = Timestamp::from_millis(10);
        let ada = account("ada", Role::Admin, &[]);
        let refused = Err(AccountRefusal::LastAdmin);
        // Not left as admins: another role, a site's admin, a machine, one whose token has ended, one that is revoked, and one for whom
        // the provider vouches, which may be down.
        let mut machine = account("job", Role::Admin, &[]);
        machine.holder = Holder::Machine;
        let mut expired = account("eve", Role::Admin, &[]);
        expired.tokens[0].expires_at = Some(now);
        let mut gone = account("tom", Role::Admin, &[]);
        gone.revoked_at = Some(now);
        let mut provided = account("zoe", Role::Admin, &[]);
        provided.holder = Holder::ProviderPerson;
        let others = [
            account("bob", Role::Operator, &[]),
            account("lea", Role::Admin, &["hq"]),
            machine,
            expired,
            gone,
            provided,
        ];
        for other in others {
            let all = [ada.clone(), other];
            assert_eq!(may_revoke(&ada, &all, now), refused, "{}", all[1].name);
            assert_eq!(may_revoke(&all[1], &all, now), Ok(()));
        }
        let all = [ada.clone(), account("kim", Role::Admin, &[])];
        assert_eq!(may_revoke(&ada, &all, now), Ok(()));
    }

    #[test]
    fn a_caller_creates_and_finds_accounts_of_its_own_sites_only() {
        let all = [account("ada", Role::Admin, &[]), account("bob", Role::Viewer, &["hq"])];
        let (whole, hq) = (scope(&[]), scope(&["hq"]));
        let sites = |names: &[&str]| names.iter().map(|site| SiteId::new(*site).expect("a site")).collect::<Vec<_>>();
        assert_eq!(may_create(&whole, "eve", &[], &all), Ok(()));
        assert_eq!(may_create(&hq, "eve", &sites(&["hq"]), &all), Ok(()));
        assert_eq!(may_create(&hq, "eve", &[], &all), Err(AccountRefusal::BeyondCaller));
        assert_eq!(may_create(&hq, "eve", &sites(&["hq", "lab"]), &all), Err(AccountRefusal::BeyondCaller));
        assert_eq!(may_create(&whole, "bob", &[], &all), Err(AccountRefusal::NameTaken));
        assert_eq!(may_create(&hq, "ada", &sites(&["hq"]), &all), Err(AccountRefusal::NameUnavailable));
        for name in ["judge", "rules", "collector", "agent", "id-ada"] {
            assert_eq!(may_create(&whole, name, &[], &all), Err(AccountRefusal::NameReserved), "{name}");
        }
        assert_eq!(find(&hq, "bob", &all).expect("its own site").name.as_str(), "bob");
        assert_eq!(find(&hq, "ada", &all), Err(AccountRefusal::Unknown), "not even that it exists");
        assert_eq!(find(&whole, "id-ada", &all).expect("by id").name.as_str(), "ada");
    }

    #[test]
    fn an_id_means_its_account_even_if_another_one_has_it_as_a_name() {
        let impostor =
            AccountReport { id: AccountId::new("x").expect("an id"), ..account("id-ada", Role::Viewer, &[]) };
        let all = [impostor, account("ada", Role::Admin, &[])];
        assert_eq!(find(&scope(&[]), "id-ada", &all).expect("found").name.as_str(), "ada");
    }

    #[test]
    fn revoked_accounts_do_not_use_up_the_limit_and_the_oldest_is_forgotten() {
        let revoked = |n: usize| AccountReport {
            id: AccountId::new(format!("r{n}")).expect("an id"),
            revoked_at: Some(Timestamp::from_millis(i64::try_from(n).expect("small") + 1)),
            ..account("old", Role::Viewer, &[])
        };
        let mut all: Vec<AccountReport> = (0..MAX_ROWS - 1).map(revoked).collect();
        assert_eq!(may_create(&scope(&[]), "new", &[], &all), Ok(()));
        assert_eq!(to_forget(&all), None);
        all.push(account("ada", Role::Admin, &[]));
        assert_eq!(to_forget(&all).map(|account| account.id.as_str()), Some("r0"));
        let active: Vec<AccountReport> =
            (0..MAX_ACCOUNTS).map(|n| account(&format!("a{n}"), Role::Viewer, &[])).collect();
        assert_eq!(may_create(&scope(&[]), "new", &[], &active), Err(AccountRefusal::TooMany));
        // People of the provider are not forgotten, or they would be let in again.
        let provided = |n| AccountReport { holder: Holder::ProviderPerson, ..revoked(n) };
        let kept: Vec<AccountReport> = (0..MAX_ROWS).map(provided).collect();
        assert_eq!(to_forget(&kept), None);
        assert_eq!(may_create(&scope(&[]), "new", &[], &kept), Err(AccountRefusal::TooMany));
        assert_eq!(may_create(&scope(&[]), "new", &[], &kept[1..]), Ok(()));
    }

    #[test]
    fn a_person_of_the_provider_takes_no_name_of_another_account() {
        let name = |text: &str| AccountName::new(text).expect("a name");
        let mut all = vec![account("ada", Role::Admin, &[]), account("ada-2", Role::Viewer, &[])];
        assert_eq!(free_name(&name("bob"), &all), Ok(name("bob")));
        assert_eq!(free_name(&name("ada"), &all), Ok(name("ada-3")));
        assert_eq!(free_name(&name("id-ada"), &all), Ok(name("id-ada-3")), "the ids of both accounts are no names");
        all[0].revoked_at = Some(Timestamp::from_millis(1));
        assert_eq!(free_name(&name("ada"), &all), Ok(name("ada")), "it is free again");
        for special in ["admin", "judge", "collector"] {
            assert_eq!(free_name(&name(special), &all), Ok(name(&format!("{special}-2"))));
        }
    }

    #[test]
    fn a_name_is_free_again_and_means_the_account_in_use() {
        let mut old = account("ada", Role::Admin, &[]);
        old.revoked_at = Some(Timestamp::from_millis(5));
        let new = AccountReport { id: AccountId::new("new").expect("an id"), ..account("ada", Role::Viewer, &[]) };
        assert_eq!(may_create(&scope(&[]), "ada", &[], std::slice::from_ref(&old)), Ok(()));
        assert_eq!(find(&scope(&[]), "ada", &[old, new]).expect("found").id.as_str(), "new");
    }
}
