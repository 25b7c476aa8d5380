//! Systems without supported change notifications: the agent relies on scheduled scans there.

use std::fs::File;
use std::io;

use super::{Changes, Notice, WatchError, WatchId};

pub(super) const WATCHES_SUBDIRECTORIES: bool = false;

#[derive(Debug)]
pub(super) enum Notifier {}

impl Notifier {
    pub(super) const fn open() -> Result<Self, WatchError> {
        Err(WatchError::NotOffered)
    }

    pub(super) const fn add(&self, _directory: &File, _changes: Changes) -> Result<WatchId, WatchError> {
        match *self {}
    }

    pub(super) const fn add_key(&self, _key: &str, _changes: Changes) -> Result<WatchId, WatchError> {
        match *self {}
    }

    pub(super) const fn remove(&self, _directory: WatchId) {
        match *self {}
    }

    pub(super) const fn take(&self) -> io::Result<Vec<Notice>> {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "other systems wait here")]
    pub(super) async fn ready(&self) -> io::Result<()> {
        match *self {}
    }
}
