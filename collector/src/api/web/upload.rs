//! Files that a form sends, with its other fields (RFC 7578).

use axum::body::{Body, Bytes};
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart};
use http::{Request, StatusCode};

use super::query::{Query, encode};
use super::refusal::Refusal;
use super::state::State;

/// The most bytes of a form with its files.
pub(super) const LONGEST: usize = 8 << 20;
/// The most bytes of a field that is no file.
const FIELD: usize = 32 * 1024;
/// The most fields and files of a form.
const PARTS: usize = 64;
/// The longest name of a file that is kept, in bytes.
const NAME: usize = 255;

/// What a form with files sends.
pub(super) struct Upload {
    /// The other fields, as a form without files sends them.
    sent: String,
    files: Vec<File>,
}

/// A file with its name, without folders.
pub(super) struct File {
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

impl Upload {
    /// The fields of the form.
    ///
    /// # Errors
    /// There is one that the form does not have, a control character, or too much.
    pub(super) fn fields(&self, known: &[&str]) -> Result<Query, Refusal> {
        Query::of_form(&self.sent, known)
    }

    /// The files, at least one.
    ///
    /// # Errors
    /// The form has no file.
    pub(super) fn files(self) -> Result<Vec<File>, Refusal> {
        if self.files.is_empty() {
            return Err(Refusal::asked("No file was chosen."));
        }
        Ok(self.files)
    }
}

impl FromRequest<State> for Upload {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, state: &State) -> Result<Self, Refusal> {
        let no_upload = |_| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is not what the form sends.");
        let mut parts = Multipart::from_request(request, state).await.map_err(no_upload)?;
        let (mut sent, mut files) = (String::new(), Vec::new());
        let mut count = 0;
        while let Some(part) = parts.next_field().await.map_err(unreadable)? {
            count += 1;
            if count > PARTS {
                return Err(Refusal::asked("Too much was sent to this form."));
            }
            let field = part.name().unwrap_or_default().to_owned();
            let name = part.file_name().map(|name| base_name(name).to_owned());
            let bytes = part.bytes().await.map_err(unreadable)?;
            match name {
                // A field for a file in which none was chosen.
                Some(name) if name.is_empty() && bytes.is_empty() => {}
                Some(name) => files.push(File { name, bytes }),
                None if bytes.len() > FIELD => return Err(Refusal::asked("Too much was sent to this form.")),
                None => {
                    let text =
                        std::str::from_utf8(&bytes).map_err(|_| Refusal::asked("The form is not valid UTF-8."))?;
                    sent = format!("{sent}&{}={}", encode(&field), encode(text));
                }
            }
        }
        Ok(Self { sent, files })
    }
}

/// The name of a file without its folders, of which some browsers send the whole path; at most so long.
fn base_name(name: &str) -> &str {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let end = base.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= NAME).last();
    base.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn unreadable(fault: MultipartError) -> Refusal {
    match fault.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let text = format!(
                "The files are larger than {} MiB, the most that this page accepts. `muster roster import` accepts up to 256 MiB.",
                LONGEST >> 20
            );
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text)
        }
        _ => Refusal::asked("The upload was cut off or cannot be read. Nothing was changed."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_by_its_name_without_folders() {
        for (sent, name) in
            [("a.csv", "a.csv"), ("C:\\lists\\a.csv", "a.csv"), ("../../etc/passwd", "passwd"), ("/", "")]
        {
            assert_eq!(base_name(sent), name);
        }
        let long = "é".repeat(200);
        assert_eq!(base_name(&long).len(), 254, "cut between two characters");
    }
}
