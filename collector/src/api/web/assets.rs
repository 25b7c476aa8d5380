//! The stylesheet, the script and the icon. Their names have a hash of their content, so browsers keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use super::refusal::Refusal;

/// A file that is part of the program.
pub(super) struct Asset {
    /// Its address: `/assets/muster-0123456789ab.css`.
    pub(super) path: String,
    kind: &'static str,
    bytes: &'static [u8],
}

impl Asset {
    fn new(extension: &str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let hash = blake3::hash(bytes).to_hex();
        Self { path: format!("/assets/muster-{}.{extension}", &hash[..12]), kind, bytes }
    }
}

/// The stylesheet.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("css", "text/css; charset=utf-8", include_bytes!("../../../assets/muster.css")));
/// The script. Every page works without it.
pub(super) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("js", "text/javascript; charset=utf-8", include_bytes!("../../../assets/muster.js")));
/// The icon of the browser's tab.
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("svg", "image/svg+xml", include_bytes!("../../../assets/muster.svg")));

/// One of them. They are no secret, so nobody has to be logged in.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let all = [&*STYLE, &*SCRIPT, &*ICON];
    let Some(asset) = all.into_iter().find(|asset| asset.path.strip_prefix("/assets/") == Some(name.as_str())) else {
        return Refusal::of_code(StatusCode::NOT_FOUND).into_response();
    };
    let mut response = Response::new(asset.bytes.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_small_and_load_nothing_from_elsewhere() {
        for (asset, most) in [(&STYLE, 30 * 1024), (&SCRIPT, 10 * 1024), (&ICON, 2 * 1024)] {
            assert!(asset.bytes.len() <= most, "{} has {} bytes", asset.path, asset.bytes.len());
            let text = std::str::from_utf8(asset.bytes).expect("text").replace("http://www.w3.org/2000/svg", "");
            for elsewhere in ["http://", "https://", "@import", "url("] {
                assert!(!text.contains(elsewhere), "{} has {elsewhere}", asset.path);
            }
        }
    }
}
