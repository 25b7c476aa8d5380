//! A list as a CSV file: all rows, also those of further pages. Rows are read and sent page by page, so the list is never in
//! memory, and a reader who stops reading stops it.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use muster_proto::terminal::spreadsheet_cell;
use tracing::error;

use super::refusal::Refusal;

/// Rows that are read at a time.
pub(super) const ROWS: usize = 1_000;

/// Some rows, and the token of those that follow.
pub(super) type Part = (Vec<Vec<String>>, Option<String>);

/// The answer with a file. `read` reads the part after a token. If a later part fails, the answer breaks off, so that nobody
/// takes half of a list for the whole.
///
/// # Errors
/// The first part failed.
pub(super) async fn file<F, R>(
    name: &'static str,
    header: &'static [&'static str],
    read: F,
) -> Result<Response, Refusal>
where
    F: Fn(Option<String>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Part, Refusal>> + Send,
{
    let (rows, next) = read(None).await?;
    let header = vec![header.iter().map(|name| (*name).to_owned()).collect()];
    let first: Vec<Vec<String>> = [header, rows].concat();
    let parts = stream::unfold(Some((first, next, read)), |state| async move {
        let (rows, next, read) = state?;
        let text = text(&rows);
        let state = match next {
            None => None,
            Some(next) => match read(Some(next)).await {
                Ok((rows, next)) => Some((rows, next, read)),
                Err(failed) => {
                    error!(reason = failed.text, "a file broke off");
                    return Some((Err(std::io::Error::other("the list could not be read to its end")), None));
                }
            },
        };
        Some((text, state))
    });
    let mut response = Body::from_stream(parts).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"muster-{name}.csv\""));
    let disposition = disposition.map_err(|_| Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR))?;
    headers.insert(CONTENT_DISPOSITION, disposition);
    Ok(response)
}

fn text(rows: &[Vec<String>]) -> Result<Bytes, std::io::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.iter().map(|cell| spreadsheet_cell(cell)))?;
    }
    writer.into_inner().map(Bytes::from).map_err(|failed| std::io::Error::other(failed.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(response: Response) -> Result<String, axum::Error> {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await?;
        Ok(String::from_utf8(bytes.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn all_pages_are_in_the_file_and_nothing_in_it_is_a_formula() {
        let read = |page: Option<String>| async move {
            Ok(match page.as_deref() {
                None => (vec![vec!["=1+1".to_owned(), "a,\"b\"".to_owned()]], Some("2".to_owned())),
                Some(_) => (vec![vec!["web\u{202e}".to_owned(), String::new()]], None),
            })
        };
        let response = file("test", &["one", "two"], read).await.expect("a file");
        assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"muster-test.csv\"");
        let text = body(response).await.expect("whole");
        assert_eq!(text, "one,two\n'=1+1,\"a,\"\"b\"\"\"\nweb\\u{202e},\n");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_to_its_end_breaks_off() {
        let read = |page: Option<String>| async move {
            if page.is_some() { Err(Refusal::asked("gone")) } else { Ok((Vec::new(), Some("2".to_owned()))) }
        };
        let response = file("test", &["one"], read).await.expect("begins");
        assert!(body(response).await.is_err());
    }
}
