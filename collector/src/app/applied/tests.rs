//! Tests of what a collector does with applied orders when it starts.

use std::sync::Arc;

use muster_proto::model::{OrderId, Timestamp};

use super::*;
use crate::actions::{Caller, OrdersAsked, orders_change};
use crate::rules::{RuleFile, embedded};
use crate::store;

const ORDER: &str = "us-bis-icts-2021-002";

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

fn own(overlay: Vec<RuleFile>) -> RuleSet {
    Arc::new(RuleBase::read(embedded(), overlay).expect("no fault")).with_applied(&[]).expect("no fault")
}

fn overlay() -> Vec<RuleFile> {
    let text = "id = \"acme-shield\"\nname = \"Acme Shield\"\nvendor = \"Acme\"\ncategory = \"antivirus\"\n\
                [[recogniser]]\nplatforms = [\"linux\"]\nkinds = [\"deb\"]\nname = [\"acme-shield\"]\n\
                strength = \"proves\"\n";
    let (folder, name) = ("catalogue".to_owned(), "acme-shield.toml".to_owned());
    vec![RuleFile { place: format!("{folder}/{name}"), folder, name, text: text.to_owned() }]
}

async fn apply(store: &dyn Store, in_force: &RuleSet, text: &str, second: i64) -> Arc<RuleSet> {
    let asked = OrdersAsked::Apply(vec![("acme.toml".to_owned(), text.to_owned())]);
    let done = orders_change(store, &Caller::collector("root"), in_force, &asked, false, at(second)).await;
    done.expect("applies").rules
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_longer_fits_what_is_applied_leaves_the_last_rules_in_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("a store");
    let with_shield = own(overlay());
    let (first_rules, refused) = first(store.as_ref(), with_shield.clone(), at(1)).await.expect("reads");
    assert!(refused.is_none() && first_rules.version == with_shield.version, "nothing is applied yet");
    let text =
        format!("addendum = true\nid = \"acme\"\norder = \"{ORDER}\"\n[protection]\napproved = [\"acme-shield\"]\n");
    let applied = apply(store.as_ref(), &with_shield, &text, 2).await;
    assert_ne!(applied.version, with_shield.version);
    keep(store.as_ref(), &applied, at(3)).await.expect("keeps");
    store.rules_adopt(&applied.version, at(3)).await.expect("adopts");
    // The same overlay: another process makes the same rules.
    let (again, refused) = first(store.as_ref(), with_shield, at(4)).await.expect("reads");
    assert!(refused.is_none() && again.version == applied.version && again.revision == 1);
    // Without the overlay the addendum accepts a product that nobody knows.
    let (last_rules, refused) = first(store.as_ref(), own(Vec::new()), at(5)).await.expect("reads");
    let refused = format!("{:#}", refused.expect("refused"));
    assert!(refused.contains("applied/acme.toml:5: `protection.approved`: the catalogue has no product"), "{refused}");
    assert_eq!(last_rules.version, applied.version);
    let order = last_rules.order(ORDER).expect("shipped");
    assert_eq!(order.addendum.as_ref().map(OrderId::as_str), Some("acme"));
    store.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addendum_that_was_switched_off_is_checked_and_in_force_when_it_is_applied_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("a store");
    let caller = Caller::collector("root");
    let text = |site: &str| format!("addendum = true\nid = \"acme\"\norder = \"{ORDER}\"\n[scope]\nsites = [{site}]\n");
    let rules = apply(store.as_ref(), &own(Vec::new()), &text("\"berlin\""), 1).await;
    let off = OrdersAsked::Deactivate(OrderId::new("acme").expect("an id"));
    let done = orders_change(store.as_ref(), &caller, &rules, &off, false, at(2)).await.expect("switches off");
    let is_in_force = |rules: &RuleSet| rules.order(ORDER).expect("shipped").addendum.is_some();
    assert!(is_in_force(&rules) && !is_in_force(&done.rules));
    let broken = OrdersAsked::Apply(vec![("acme.toml".to_owned(), text("berlin"))]);
    let refused = orders_change(store.as_ref(), &caller, &done.rules, &broken, true, at(3)).await;
    assert!(refused.is_err(), "a broken file is refused whatever the switch of the one before it");
    let again = apply(store.as_ref(), &done.rules, &text("\"paris\""), 4).await;
    assert!(is_in_force(&again));
    store.close().await.expect("closes");
}
