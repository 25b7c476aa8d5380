//! `/catalogue`: the products that are recognised; and `/catalogue/PRODUCT`: what one is recognised by.

use askama::Template;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::response::Response;
use http::StatusCode;
use muster_proto::model::{ProductId, ProductReport};

use super::chrome::{Chrome, page};
use super::format::{clean, counted, name, number};
use super::paging::{Choice, choices};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;

/// Products of a page. A catalogue of one's own may have many more than the shipped one.
const MOST: usize = 500;

#[derive(Template)]
#[template(path = "catalogue.html")]
struct CataloguePage {
    chrome: Chrome,
    /// A part of the names, vendors and families that are shown.
    text: String,
    categories: Vec<Choice>,
    shown: String,
    rows: Vec<Row>,
    /// `and 7 more`; empty without any.
    more: String,
    rules: String,
}

#[derive(Template)]
#[template(path = "product.html")]
struct ProductPage {
    chrome: Chrome,
    product: Row,
    rules: String,
    recognisers: Vec<String>,
    /// The hosts that have it.
    hosts: String,
}

struct Row {
    id: String,
    name: String,
    vendor: String,
    category: String,
    family: String,
    platforms: String,
    recognisers: String,
}

impl Row {
    fn of(product: &ProductReport) -> Self {
        let platforms: Vec<&str> = product.platforms.iter().map(|platform| platform.name()).collect();
        Self {
            id: product.id.to_string(),
            name: name(&product.name),
            vendor: name(&product.vendor),
            category: name(&product.category),
            family: name(&product.family),
            platforms: platforms.join(", "),
            recognisers: number(product.recognisers),
        }
    }
}

/// `GET /catalogue?text=&category=`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), &["text", "category"])?;
    let text = query.name("text")?;
    let (folded, category) = (text.to_lowercase(), query.get("category"));
    let mut products = visitor.context.products();
    let mut categories: Vec<String> = products.iter().map(|product| product.category.clone()).collect();
    categories.sort_unstable();
    categories.dedup();
    let has = |part: &str| part.to_lowercase().contains(&folded);
    products.retain(|product| {
        (category.is_empty() || product.category == category)
            && (has(&product.name) || has(&product.vendor) || has(&product.family) || has(product.id.as_str()))
    });
    let more = products.len().saturating_sub(MOST) as u64;
    page(&CataloguePage {
        chrome: Chrome::new(&state, &visitor, "/about"),
        text,
        categories: choices(&query, "category", categories.into_iter().map(|name| (name.clone(), name))),
        shown: counted(products.len() as u64, "product"),
        rows: products.iter().take(MOST).map(Row::of).collect(),
        more: if more == 0 { String::new() } else { format!("and {}", counted(more, "more product")) },
        rules: visitor.context.rules_version().to_owned(),
    })
}

/// `GET /catalogue/PRODUCT`.
pub(super) async fn one(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(asked): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    Query::read(raw.as_deref(), &[])?;
    let none = |_| Refusal::new(StatusCode::NOT_FOUND, format!("There is no product \"{}\".", clean(&asked, 64)));
    let id = ProductId::new(asked.as_str()).map_err(none)?;
    let product = state.or_refusal(visitor.context.product(&id))?;
    page(&ProductPage {
        chrome: Chrome::new(&state, &visitor, "/about"),
        recognisers: product.details.iter().map(|line| clean(line, 1_000)).collect(),
        hosts: Query::default().with("where", &format!("product:{id}")).link("/hosts"),
        product: Row::of(&product),
        rules: visitor.context.rules_version().to_owned(),
    })
}
