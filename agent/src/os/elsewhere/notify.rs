//! Systems whose change notices the agent does not use yet: it looks at the collector's pace there.

use std::fs::File;
use std::io;

use super::{Notice, Number, Unwatchable};

#[derive(Debug)]
pub(super) enum Notifier {}

impl Notifier {
    pub(super) const fn open() -> Result<Self, Unwatchable> {
        Err(Unwatchable::NotOffered)
    }

    pub(super) const fn add(&self, _directory: &File) -> Result<Number, Unwatchable> {
        match *self {}
    }

    pub(super) const fn remove(&self, _directory: Number) {
        match *self {}
    }

    pub(super) const fn take(&self) -> io::Result<Vec<Notice>> {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "the systems that have notices wait here")]
    pub(super) async fn ready(&self) -> io::Result<()> {
        match *self {}
    }
}
