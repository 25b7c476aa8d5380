//! Tests of addenda, and of ids within the layers.

use std::sync::{Arc, LazyLock};

use muster_proto::model::Timestamp;

use crate::rules::{Layer, RuleBase, RuleErrors, RuleFile, RuleSet, embedded};

const ORDER: &str = "us-bis-icts-2021-002";

fn file(name: &str, text: &str) -> RuleFile {
    RuleFile { folder: "orders".to_owned(), name: name.to_owned(), place: name.to_owned(), text: text.to_owned() }
}

/// Compiled once: the catalogue takes nearly all the time.
fn applied(files: &[RuleFile]) -> Result<RuleSet, RuleErrors> {
    static BASE: LazyLock<Arc<RuleBase>> =
        LazyLock::new(|| Arc::new(RuleBase::read(embedded(), Vec::new()).expect("the defaults have no fault")));
    BASE.with_applied(files)
}

fn faults(text: &str) -> Vec<String> {
    let refused = applied(&[file("a.toml", text)]).expect_err("it is refused");
    refused.faults.iter().map(ToString::to_string).collect()
}

fn addendum(rest: &str) -> String {
    format!("addendum = true\nid = \"acme\"\norder = \"{ORDER}\"\n{rest}")
}

#[test]
fn an_addendum_is_stricter_and_leaves_the_rest_of_the_order() {
    let before = applied(&[]).expect("no files");
    let text = addendum(
        "patience_days = 2\ndue = \"own\"\n[[milestone]]\nid = \"own\"\nat = 2024-09-01T00:00:00-04:00\n\
         kind = \"deadline\"\nwhat = \"ours\"\n[scope]\nsites = [\"hq\"]\nplatforms = [\"linux\"]\n[protection]\n\
         approved = [\"clamav\"]\n",
    );
    let rules = applied(&[file("a.toml", &text)]).expect("a good addendum");
    assert_ne!(rules.version, before.version);
    let (order, plain) = (rules.order(ORDER).expect("shipped"), before.order(ORDER).expect("shipped"));
    assert_eq!(order.due().map(Timestamp::to_rfc3339).as_deref(), Some("2024-09-02T04:00:00Z"));
    assert_eq!(order.legal_due_milestone(), plain.due_milestone());
    assert_eq!(order.milestones[..plain.milestones.len()], plain.milestones);
    let own = order.report().milestones.pop().expect("its own");
    assert_eq!((own.id.as_str(), own.addendum.as_str(), own.stated.as_str()), ("own", "acme", "2024-09-01"));
    let linux = muster_proto::model::Platform::Linux;
    let site = |id: &str| muster_proto::model::SiteId::new(id).expect("a site");
    assert!(
        order.binds(linux, &site("hq"), &[])
            && !order.binds(linux, &site("lab"), &[])
            && plain.binds(linux, &site("lab"), &[])
    );
    assert_eq!((order.layer, order.active, &order.citation), (Layer::Shipped, true, &plain.citation));
    assert_eq!(order.patience.as_secs(), 2 * 86_400);
    // The version depends on what is applied, and not on what was applied before.
    assert_eq!(applied(&[]).expect("no files").version, before.version);
}

#[test]
fn an_addendum_that_moves_a_legal_date_is_refused_with_file_line_and_key() {
    let milestone = |id: &str, at: &str| {
        addendum(&format!("[[milestone]]\nid = \"{id}\"\nat = {at}\nkind = \"deadline\"\nwhat = \"x\"\n"))
    };
    assert_eq!(
        faults(&milestone("updates-end", "2024-09-01T00:00:00-04:00")),
        [
            "a.toml:4: `id`: the order has a milestone \"updates-end\", and an addendum cannot move a date of the order; \
             give your own milestone another id"
        ]
    );
    assert_eq!(
        faults(&milestone("own", "2024-10-01T00:00:00-04:00")),
        ["a.toml:4: `at`: a milestone of an addendum must be reached before the order's due date, \
             2024-09-29T04:00:00Z; this one is reached at 2024-10-02T04:00:00Z"]
    );
    assert_eq!(
        faults(&addendum("due = \"updates-end\"\n")),
        ["a.toml:4: `due`: the addendum has no milestone \"updates-end\"; name one of its own"]
    );
}

#[test]
fn what_an_addendum_cannot_change_is_named() {
    for (key, what) in [
        (
            "title = \"x\"",
            "`title`: an addendum cannot change the text of the order; remove the key. An addendum may set",
        ),
        ("citation = \"x\"", "`citation`: an addendum cannot change the citation of the order"),
        ("zone = \"UTC\"", "`zone`: an addendum cannot change the dates of the order"),
        ("active = false", "`active`: an addendum cannot change whether the order is active"),
        ("[scope]\nexempt = [\"clamav\"]", "`scope.exempt`: an addendum cannot change which products the order covers"),
        ("[protection]\nrequired = false", "`protection.required`: an addendum cannot change which protection"),
        ("[protection]\napproved = [\"clamv\"]", "the catalogue has no product clamv; did you mean \"clamav\"?"),
        ("[protection]\napproved = [\"kaspersky-for-linux\"]", "the order prohibits kaspersky-for-linux"),
        ("[wording]\nmust = \"x\"", "`wording`: an addendum cannot change the text of the order"),
        ("patience_days = 0", "`patience_days` must be at least 1"),
        ("patiense_days = 1", "unknown key `patiense_days`"),
    ] {
        let found = faults(&addendum(key));
        let line = 4 + key.matches('\n').count();
        assert!(found.len() == 1 && found[0].contains(what), "{key}: {found:?}");
        assert!(found[0].starts_with(&format!("a.toml:{line}: ")) || key.starts_with('['), "{key}: {found:?}");
    }
}

#[test]
fn an_unknown_order_and_a_second_addendum_are_refused() {
    let found = faults("addendum = true\nid = \"acme\"\norder = \"us-bis-icts-2021-02\"\n");
    assert_eq!(
        found,
        ["a.toml:3: `order`: there is no order \"us-bis-icts-2021-02\"; did you mean \"us-bis-icts-2021-002\"?; \
             `muster orders --all` lists them"]
    );
    let found = faults(&format!("addendum = true\nid = \"{ORDER}\"\norder = \"{ORDER}\"\n"));
    assert_eq!(found, ["a.toml:2: `id`: an order has this id; give the addendum one of its own"]);
    let two = [file("a.toml", &addendum("")), file("b.toml", &addendum("").replace("\"acme\"", "\"other\""))];
    let refused = applied(&two).expect_err("two for one order").to_string();
    assert!(
        refused.contains("b.toml:1: a.toml is an addendum of us-bis-icts-2021-002 already; join them"),
        "{refused}"
    );
}

#[test]
fn an_applied_order_replaces_a_shipped_one_only_if_it_says_so() {
    let shipped = embedded().into_iter().find(|file| file.place == format!("orders/{ORDER}.toml"));
    let text = shipped.expect("shipped").text;
    let found = faults(&text);
    assert!(
        found.len() == 1 && found[0].starts_with("a.toml:4: `id`: there is an order \"us-bis-icts-2021-002\" already"),
        "{found:?}"
    );
    let replacing = format!("replaces = \"{ORDER}\"\npatience_days = 3\n{}", text.replace("patience_days = 7\n", ""));
    let rules = applied(&[file("a.toml", &replacing)]).expect("it says so");
    let order = rules.order(ORDER).expect("replaced");
    assert_eq!((order.layer, order.patience.as_secs()), (Layer::Applied, 3 * 86_400));
    let found = faults(&text.replace("id = \"us-bis-icts-2021-002\"", "id = \"acme\"\nreplaces = \"acme\""));
    assert_eq!(found, ["a.toml:4: `replaces`: there is no other order \"acme\" to replace; remove the key"]);
    let found = faults(&format!("replaces = \"acme\"\n{text}"));
    assert!(found.iter().any(|fault| fault.contains("`replaces`: expected \"us-bis-icts-2021-002\"")), "{found:?}");
}

#[test]
fn two_milestones_or_recurring_duties_with_one_id_are_refused() {
    let text = |id: &str, twice: &str| {
        format!(
            "id = \"{id}\"\ntitle = \"t\"\nissuer = \"i\"\njurisdiction = \"j\"\nbinding = \"duty\"\n[scope]\n\
             vendors = [\"kaspersky\"]\n{twice}{twice}"
        )
    };
    let milestone = "[[milestone]]\nid = \"m\"\nat = 2027-01-01T00:00:00Z\nkind = \"deadline\"\nwhat = \"x\"\n";
    let found = faults(&text("acme", milestone));
    assert_eq!(found, ["a.toml:13: `id`: there are two milestones with the id \"m\"; give this one another"]);
    let recurring =
        "[[recurring]]\nid = \"r\"\nfirst = 2027-01-01\nevery_days = 30\nuntil = \"finished\"\nwhat = \"x\"\n";
    let found = faults(&text("acme", recurring));
    assert_eq!(found, ["a.toml:14: `id`: there are two recurring duties with the id \"r\"; give this one another"]);
}
