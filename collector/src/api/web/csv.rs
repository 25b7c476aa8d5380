//! A list as a CSV file: all rows, also those of further pages. A part is sent before the next one is read, so the list is never
//! in memory, and a reader who stops reading stops it.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use muster_proto::terminal::spreadsheet_cell;
use tracing::{Span, warn};

use super::download::Download;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::{ReportContext, ReportError};

/// Rows that are read at a time. Tests have lists of several parts.
pub(super) const ROWS: usize = if cfg!(test) { 50 } else { 1_000 };

/// Some rows, and the token of those that follow.
pub(super) type Part = (Vec<Vec<String>>, Option<String>);

/// The answer with a file. `read` reads the part after a token. If a later part fails, the answer breaks off, so that nobody
/// takes half of a list for the whole.
///
/// # Errors
/// The first part failed, or as many files are being sent as may be at once.
pub(super) async fn file<F, R>(
    state: &State,
    visitor: Visitor,
    name: &'static str,
    header: &[&str],
    read: F,
) -> Result<Response, Refusal>
where
    F: Fn(ReportContext, Option<String>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Part, ReportError>> + Send,
{
    let download = Arc::new((Download::begin(state, visitor)?, read));
    let (rows, next) = state.or_refusal((download.1)(download.0.visitor.context.clone(), None).await)?;
    let header = vec![header.iter().map(|name| (*name).to_owned()).collect()];
    let body = body((([header, rows]).concat(), next), move |token| {
        let download = Arc::clone(&download);
        async move {
            let (download, read) = (&download.0, &download.1);
            download.may_go_on().await?;
            download.state.or_refusal(read(download.visitor.context.clone(), Some(token)).await)
        }
    });
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"muster-{name}.csv\""));
    let disposition = disposition.map_err(|_| Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR))?;
    headers.insert(CONTENT_DISPOSITION, disposition);
    Ok(response)
}

/// What is sent next: rows, or those after a token, which are not read yet.
enum Step {
    Rows(Part),
    Read(String),
}

fn body<F, R>(first: Part, read: F) -> Body
where
    F: Fn(String) -> R + Send + 'static,
    R: Future<Output = Result<Part, Refusal>> + Send + 'static,
{
    let span = Span::current();
    let parts = stream::unfold((Some(Step::Rows(first)), read, span), |(step, read, span)| async move {
        let (rows, next) = match step? {
            Step::Rows(part) => part,
            Step::Read(token) => match read(token).await {
                Ok(part) => part,
                Err(failed) => {
                    warn!(parent: &span, reason = failed.text, "a file broke off");
                    return Some((Err(std::io::Error::other("the list was not read to its end")), (None, read, span)));
                }
            },
        };
        Some((text(&rows), (next.map(Step::Read), read, span)))
    });
    Body::from_stream(parts)
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::BodyExt as _;

    use super::*;

    async fn all(body: Body) -> Result<String, axum::Error> {
        let bytes = axum::body::to_bytes(body, 1 << 20).await?;
        Ok(String::from_utf8(bytes.to_vec()).expect("text"))
    }

    fn row(cells: &[&str]) -> Vec<Vec<String>> {
        vec![cells.iter().map(|cell| (*cell).to_owned()).collect()]
    }

    #[tokio::test]
    async fn all_parts_are_in_the_file_and_nothing_in_it_is_a_formula() {
        let first = (row(&["=1+1", "a,\"b\""]), Some("2".to_owned()));
        let text = all(body(first, |_| async { Ok((row(&["web\u{202e}", ""]), None)) })).await.expect("whole");
        assert_eq!(text, "'=1+1,\"a,\"\"b\"\"\"\nweb\\u{202e},\n");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_to_its_end_breaks_off() {
        let first = (Vec::new(), Some("2".to_owned()));
        assert!(all(body(first, |_| async { Err(Refusal::asked("gone")) })).await.is_err());
    }

    #[tokio::test]
    async fn a_part_is_sent_before_the_next_one_is_read() {
        let read = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&read);
        let mut body = body((row(&["1"]), Some("2".to_owned())), move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok((row(&["2"]), None)) }
        });
        let first = body.frame().await.expect("a frame").expect("rows").into_data().expect("data");
        assert_eq!((&first[..], read.load(Ordering::SeqCst)), (&b"1\n"[..], 0));
    }
}
