//! `muster orders new` and `check`: files of orders and addenda, without a collector.

use std::sync::Arc;

use muster_proto::limits;
use muster_proto::model::OrderId;
use serde_json::json;

use super::args::orders::{CheckOrdersArgs, NewOrderArgs};
use super::args::{Output, WrongUsage};
use super::faults;
use super::render::{Answer, Screen, clean, counted};
use crate::rules::{self, Order, OverlayLimits, RuleBase, RuleErrors, RuleFile, RuleSet};

const ORDER: &str = include_str!("order_files/order.toml");
const ADDENDUM: &str = include_str!("order_files/addendum.toml");
/// The order that the template of an addendum names.
const EXAMPLE: &str = "us-bis-icts-2021-002";

const HEADER: [&str; 4] = ["file", "id", "kind", "order"];

/// Prints a template.
pub(super) fn new(asked: &NewOrderArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    // A template has one form only.
    if screen.asked().is_some_and(|output| output != Output::Table) {
        return Err(WrongUsage("`orders new` prints a file and takes no -o".to_owned()).into());
    }
    screen.raw(template(asked.addendum.as_ref()).as_bytes())?;
    Ok(0)
}

fn template(addendum: Option<&OrderId>) -> String {
    addendum.map_or_else(|| ORDER.to_owned(), |order| ADDENDUM.replace(EXAMPLE, order.as_str()))
}

/// A file that is good.
struct Good<'a> {
    file: &'a RuleFile,
    order: &'a Order,
    is_addendum: bool,
}

impl Good<'_> {
    const fn kind(&self) -> &'static str {
        if self.is_addendum { "addendum" } else { "order" }
    }

    fn id(&self) -> String {
        rules::file_id(self.file).unwrap_or_else(|| self.order.id.clone()).to_string()
    }
}

/// Checks files together with the rules of the binary and of the directory that is named.
pub(super) fn check(asked: &CheckOrdersArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let (files, rules) = match load(asked) {
        Ok(loaded) => loaded,
        Err(refused) => return faults::show(refused, screen),
    };
    let good: Vec<Good<'_>> = files.iter().filter_map(|file| good(file, &rules)).collect();
    let lines: Vec<serde_json::Value> = good
        .iter()
        .map(|one| json!({ "file": one.file.place, "id": one.id(), "kind": one.kind(), "order": one.order.id }))
        .collect();
    let whole = json!({ "ok": true, "files": lines });
    let row = |one: &Good<'_>| vec![one.file.place.clone(), one.id(), one.kind().to_owned(), one.order.id.to_string()];
    let rows = || good.iter().map(row).collect();
    screen.show(&Answer { whole: &whole, header: &HEADER }, &lines, rows, |_| page(&good))?;
    Ok(0)
}

fn load(asked: &CheckOrdersArgs) -> Result<(Vec<RuleFile>, RuleSet), RuleErrors> {
    let files = rules::read_order_files(&asked.files)?;
    let overlay = asked.overlay.as_deref().map(|place| rules::read_within(place, &OverlayLimits::default()));
    let overlay = overlay.transpose()?.map(|read| read.files).unwrap_or_default();
    let rules = Arc::new(RuleBase::read(rules::embedded(), overlay)?).with_applied(&files)?;
    Ok((files, rules))
}

fn good<'a>(file: &'a RuleFile, rules: &'a RuleSet) -> Option<Good<'a>> {
    let id = rules::file_id(file)?;
    let is_addendum = rules::is_addendum(file);
    let order = rules
        .orders
        .iter()
        .find(|order| if is_addendum { order.addendum.as_ref() == Some(&id) } else { order.id == id })?;
    Some(Good { file, order, is_addendum })
}

fn page(good: &[Good<'_>]) -> String {
    let line = |one: &Good<'_>| {
        let what = if one.is_addendum {
            format!("addendum {} to {}", one.id(), one.order.id)
        } else {
            format!("order {}", one.order.id)
        };
        format!("{}: {what}\n", clean(&one.file.place))
    };
    let lines: String = good.iter().map(line).collect();
    format!("{lines}ok: {}, each at most {} KiB\n", counted(good.len(), "file"), limits::RULE_FILE_BYTES / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: String) -> Result<RuleSet, RuleErrors> {
        let file = |text| RuleFile { folder: "orders".into(), name: "a.toml".into(), place: "a.toml".into(), text };
        Arc::new(RuleBase::read(rules::embedded(), Vec::new())?).with_applied(&[file(text)])
    }

    #[test]
    fn templates_are_good_files() {
        let rules = checked(template(None)).expect("a good order");
        assert!(rules.order("acme-no-example").is_some_and(|order| !order.active && order.due().is_some()));
        let order: OrderId = "us-dhs-bod-17-01".parse().expect("an id");
        let rules = checked(template(Some(&order))).expect("a good addendum");
        let amended = rules.order("us-dhs-bod-17-01").expect("shipped");
        assert_eq!(amended.addendum.as_ref().map(OrderId::as_str), Some("acme-us-dhs-bod-17-01"));
    }
}
