//! The stylesheet, the script and the icon. Their names have a hash of their content, so browsers keep them for ever.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::refusal::Refusal;

/// A file that is part of the program.
pub(super) struct Asset {
    /// Its address: `/assets/muster-0123456789ab.css`.
    pub(super) path: String,
    kind: &'static str,
    bytes: &'static [u8],
    /// The same, compressed once for all requests.
    gzipped: Option<Bytes>,
}

impl Asset {
    fn new(extension: &str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let hash = blake3::hash(bytes).to_hex();
        let path = format!("/assets/muster-{}.{extension}", &hash[..12]);
        Self { path, kind, bytes, gzipped: gzipped(bytes).ok().filter(|gzipped| gzipped.len() < bytes.len()) }
    }
}

fn gzipped(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::best());
    writer.write_all(bytes)?;
    writer.finish().map(Bytes::from)
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
pub(super) async fn asset(Path(name): Path<String>, asked: HeaderMap) -> Response {
    let all = [&*STYLE, &*SCRIPT, &*ICON];
    let Some(asset) = all.into_iter().find(|asset| asset.path.strip_prefix("/assets/") == Some(name.as_str())) else {
        return Refusal::of_code(StatusCode::NOT_FOUND).into_response();
    };
    let gzipped = asset.gzipped.as_ref().filter(|_| takes_gzip(&asked));
    let mut response = Response::new(gzipped.map_or_else(|| asset.bytes.into(), |bytes| bytes.clone().into()));
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    if gzipped.is_some() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}

/// Whether `Accept-Encoding` names gzip and does not exclude it with `q=0` (RFC 9110, section 12.5.3).
fn takes_gzip(asked: &HeaderMap) -> bool {
    let codings = asked.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    codings.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        name.trim().eq_ignore_ascii_case("gzip") && weight.parse::<f32>().is_ok_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn gzip_is_taken_where_it_is_asked_for() {
        let takes = |value: &str| {
            takes_gzip(&[(ACCEPT_ENCODING, value.parse().expect("a header"))].into_iter().collect::<HeaderMap>())
        };
        assert!(takes("gzip") && takes("br;q=1.0, GZIP;q=0.8") && takes("deflate,gzip"));
        assert!(!takes("") && !takes("br") && !takes("gzip;q=0") && !takes("identity"));
        assert!(!takes_gzip(&HeaderMap::new()));
        for asset in [&STYLE, &SCRIPT] {
            let gzipped = asset.gzipped.as_ref().expect("it is smaller");
            let mut bytes = Vec::new();
            flate2::read::GzDecoder::new(&gzipped[..]).read_to_end(&mut bytes).expect("valid");
            assert_eq!(bytes, asset.bytes);
        }
    }

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
