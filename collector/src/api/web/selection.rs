//! From a list to the page that changes its hosts: those that were ticked, or all that match.

use muster_proto::model::{Lane, OrderId, SiteId};

use super::act::HostsMeant;
use super::query::Query;
use super::refusal::Refusal;

/// What is below the head of a list whose hosts can be changed.
pub(super) struct Selection {
    /// The page that changes all that match; empty if no filter means the same.
    pub(super) all: String,
    /// Why not.
    pub(super) why_not: &'static str,
    pub(super) order: String,
}

/// What a list shows besides its filter.
pub(super) struct List<'a> {
    pub(super) query: &'a Query,
    /// The lanes if the question names none; empty means any.
    pub(super) lanes: &'a [Lane],
    /// Menus of which no filter means the same.
    pub(super) menus: &'a [&'a str],
    /// The order under which the list shows lanes if the question names none.
    pub(super) order: Option<OrderId>,
    /// Whether lanes are shown under several orders, so that they mean nothing without one.
    pub(super) needs_order: bool,
}

impl List<'_> {
    /// # Errors
    /// An order cannot be read.
    pub(super) fn selection(&self) -> Result<Selection, Refusal> {
        let mut order = self.query.get("order").to_owned();
        if order.is_empty() {
            order = self.order.as_ref().map(ToString::to_string).unwrap_or_default();
        }
        if order.is_empty() && self.needs_order {
            let why_not = "Choose one order to edit all matching hosts.";
            return Ok(Selection { all: String::new(), why_not, order });
        }
        if self.menus.iter().any(|menu| self.query.has(menu)) {
            let why_not = "To edit all matching hosts, put the name, the mark and the token into the filter.";
            return Ok(Selection { all: String::new(), why_not, order });
        }
        let asked = Query::default().with("where", &self.filter()?).with("order", &order);
        Ok(Selection { all: HostsMeant::read(&asked)?.link(), why_not: "", order })
    }

    /// The filter that means what the list shows.
    fn filter(&self) -> Result<String, Refusal> {
        let joined = |texts: Vec<String>| texts.join(",");
        let sites = joined(self.query.list::<SiteId>("site")?.iter().map(ToString::to_string).collect());
        let mut lanes = joined(self.query.list::<Lane>("lane")?.iter().map(ToString::to_string).collect());
        if lanes.is_empty() {
            lanes = self.lanes.iter().map(|lane| lane.name()).collect::<Vec<_>>().join(",");
        }
        let mut terms = vec![self.query.get("where").to_owned()];
        terms.extend([("lane", lanes), ("site", sites)].into_iter().filter(|(_, of)| !of.is_empty()).map(term));
        if ["1", "true", "yes", "on"].contains(&self.query.get("silent")) {
            terms.push("silent:yes".to_owned());
        }
        let filter = terms.join(" ").trim().to_owned();
        // An empty filter must not mean every host by mistake.
        Ok(if filter.is_empty() { "enrolled:any".to_owned() } else { filter })
    }
}

fn term((key, values): (&str, String)) -> String {
    format!("{key}:{values}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(raw: &str, lanes: &[Lane]) -> String {
        let known = ["where", "order", "lane", "site", "silent", "name"];
        let query = Query::read(Some(raw), &known).expect("known");
        let list = List { query: &query, lanes, menus: &["name"], order: None, needs_order: false };
        let all = list.selection().expect("readable").all;
        super::super::query::decode(&all)
    }

    #[test]
    fn all_that_match_are_those_that_the_list_shows() {
        assert_eq!(all("", &[]), "/change?where=enrolled:any", "every host is said, and not meant by nothing");
        assert_eq!(
            all("where=os:debian&lane=replace&lane=silent&site=a,+b&silent=1", &[]),
            "/change?where=os:debian lane:replace,silent site:a,b silent:yes"
        );
        assert_eq!(all("order=x-1", &[Lane::Replace, Lane::Remove]), "/change?where=lane:replace,remove&order=x-1");
        assert_eq!(all("lane=remove", &[Lane::Replace, Lane::Remove]), "/change?where=lane:remove");
        assert_eq!(all("name=web", &[]), "", "no filter means a part of a name");
    }
}
