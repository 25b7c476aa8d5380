//! Every page with every role and site, with hostile texts, and without anybody who is logged in; sessions; forged requests.

mod access_forms;
mod errors;
mod exceptions;
mod files;
mod forms;
mod kit;
mod lists;
mod login_links;
mod pages;
mod provider;
mod sessions;
mod sessions_ended;
mod timeline;
mod uploads;

use super::routes::{Route, pages};
use kit::ORDER;

/// An address of a route that shows something of the site `north`.
fn address(route: &Route) -> String {
    let query = if route.path == "/software" { "?q=curl" } else { "" };
    let path = route.path.replace("{host}", "host-north").replace("{order}", ORDER).replace("{file}", "1");
    let path =
        path.replace("{waiver}", "1").replace("{change}", "1").replace("{entry}", "1").replace("{disposition}", "1");
    let path = path.replace("{product}", "kaspersky-consumer");
    format!("{path}{query}")
}

/// Whether the route answers with a file.
fn is_file(route: &Route) -> bool {
    route.path.ends_with(".csv") || route.path.ends_with("/files/{file}")
}
