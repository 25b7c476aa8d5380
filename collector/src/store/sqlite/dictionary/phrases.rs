//! The dictionary of phrases.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rusqlite::Connection;

use super::super::fault::{Step, StoreFault};
use super::utf8;
use crate::store::texts::Texts;

/// See the head of the file.
#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Phrases(RwLock<SavedTexts>);

#[derive(Debug, Default)]
struct SavedTexts {
    texts: Texts,
    /// Texts up to this number are stored in the file.
    saved: u32,
}

impl Phrases {
    /// The number of a text, which is added if it is new.
    pub(super) fn number(&self, text: &[u8]) -> u32 {
        let found = self.read().texts.find(text);
        // Another thread may add it between the two locks.
        found.unwrap_or_else(|| self.write().texts.number(text))
    }

    /// The text of a number, as a string.
    pub(in crate::store::sqlite) fn words(&self, number: i64) -> Step<String> {
        let saved = self.read();
        let found = u32::try_from(number).ok().and_then(|number| saved.texts.get(number));
        let found = found.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        found.ok_or_else(|| StoreFault::damaged(format!("phrase {number}"), "it is not there"))
    }

    /// The number up to which texts are stored in the file.
    pub(super) fn saved(&self) -> u32 {
        self.read().saved
    }

    pub(super) fn set_saved(&self, up_to: u32) {
        self.write().saved = up_to;
    }

    /// The texts after this number with their numbers, and the last number.
    pub(super) fn after(&self, number: u32) -> (Vec<(u32, Vec<u8>)>, u32) {
        let saved = self.read();
        let last = saved.texts.len();
        let row = |number| Some((number, saved.texts.get(number)?.to_vec()));
        ((number + 1..=last).filter_map(row).collect(), last)
    }

    /// Stores the texts after this number, and returns the last number.
    pub(super) fn save_since(&self, sql: &Connection, since: u32) -> Step<u32> {
        let (new, last) = self.after(since);
        for (number, text) in new {
            sql.prepare_cached("INSERT INTO phrase (no, text) VALUES (?1, ?2)")?.execute((number, utf8(&text)?))?;
        }
        Ok(last)
    }

    pub(super) fn load(&self, sql: &Connection) -> Step<()> {
        let SavedTexts { texts, saved } = &mut *self.write();
        let mut statement = sql.prepare("SELECT no, text FROM phrase ORDER BY no")?;
        let mut rows = statement.query([])?;
        while let Some(found) = rows.next()? {
            // A missing row leaves a gap; `check` reports it if something refers to it.
            texts.skip_to(found.get(0)?);
            let text = found.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?.as_bytes();
            texts.add(texts.hash(text), text);
        }
        *saved = texts.len();
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, SavedTexts> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, SavedTexts> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
