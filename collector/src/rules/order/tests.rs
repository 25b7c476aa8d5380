//! Tests of the orders that are shipped.

use super::Order;
use crate::rules::load;

/// Domains of governments and of the European Union. A domain also means everything below it.
const OFFICIAL: [&str; 14] = [
    "bund.de",
    "canada.ca",
    "europa.eu",
    "gazzettaufficiale.it",
    "gov",
    "gov.au",
    "gov.it",
    "gov.pl",
    "gov.ro",
    "gov.ua",
    "gov.uk",
    "just.ro",
    "kam.lt",
    "rijksoverheid.nl",
];

/// What `unconfirmed` says if only news about the order were found.
const ONLY_NEWS: &str = "text of the issuer (not found; the facts come from news)";

fn is_official(source: &str) -> bool {
    let Some((_, rest)) = source.split_once("://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    OFFICIAL.iter().any(|domain| host == *domain || host.ends_with(&format!(".{domain}")))
}

fn first_is_news(order: &Order) -> bool {
    !order.sources.first().is_some_and(|source| is_official(source))
}

#[test]
fn every_order_cites_its_issuer_first_or_says_that_only_news_were_found() {
    let rules = load(None).expect("the defaults load");
    assert!(rules.orders.len() > 30);
    for order in &rules.orders {
        let only_news = order.unconfirmed.iter().any(|fact| fact == ONLY_NEWS);
        assert_eq!(first_is_news(order), only_news, "{}: sources {:?}", order.id, order.sources);
    }
}

#[test]
fn official_sources_come_before_all_others() {
    let rules = load(None).expect("the defaults load");
    for order in &rules.orders {
        let official: Vec<bool> = order.sources.iter().map(|source| is_official(source)).collect();
        assert!(official.is_sorted_by(|first, second| first >= second), "{}: sources {:?}", order.id, order.sources);
    }
}

#[test]
fn the_domain_of_a_government_is_not_any_domain_that_contains_it() {
    assert!(is_official("https://www.bis.gov/press-release") && is_official("http://kam.lt/en"));
    for source in ["https://bis.gov.example.com/", "https://notkam.lt/", "https://example.com/www.bis.gov/", "bis.gov"]
    {
        assert!(!is_official(source), "{source}");
    }
}
