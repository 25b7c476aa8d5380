//! Learning what other collectors have added to the dictionary and removed from it.
//!
//! Blocks that were read are added to the memory only if it has forgotten nothing since, and only if they were read in its
//! generation or a later one: otherwise they may have editions that it has forgotten already.

use futures_util::TryStreamExt as _;

use super::super::fault::{PostgresFault, Step};
use super::super::removal;
use super::super::session::Session;
use super::{Block, Dictionary, Intern, Known};

/// With the generation of the moment in which they are read: a transaction may see an earlier one than others do.
pub(super) const READ: &str = "
    SELECT first, editions, (SELECT coalesce(max(editions), 0) FROM removal) FROM dictionary WHERE first > $1 ORDER BY first";

/// The first number of the last block, which is about the number of editions.
const LAST: &str = "SELECT coalesce(max(first), 0) FROM dictionary";

/// The generations, and the blocks of which editions were removed since one, as one moment has them.
const CHANGED: &str = "
    SELECT r.editions, r.editions_from, d.first, d.editions
    FROM removal r LEFT JOIN dictionary d ON d.changed > $1 AND d.changed > 0 ORDER BY d.first";

/// How many bytes of blocks are added in one step: some milliseconds, in which nobody else can use the dictionary.
const STEP_BYTES: usize = 256 * 1024;

/// How often blocks are read again because some were forgotten meanwhile. A removal pauses after each of its steps.
const TRIES: usize = 5;

/// Blocks that were read.
#[derive(Default)]
pub(super) struct Added {
    blocks: Vec<Block>,
    /// The generation in which they were read.
    generation: i32,
}

/// The blocks after this number.
pub(super) async fn blocks(session: &Session, last: i32) -> Step<Added> {
    let mut added = Added::default();
    for found in session.query(READ, &[&last]).await? {
        added.blocks.push((found.try_get(0)?, found.try_get(1)?));
        added.generation = found.try_get(2)?;
    }
    Ok(added)
}

pub(super) fn forgotten() -> PostgresFault {
    PostgresFault::Conflict("the dictionary was forgotten".to_owned())
}

impl Dictionary {
    /// Reads the whole table, as the session sees it.
    pub(in crate::store::postgres) async fn read(session: &Session) -> Step<Self> {
        let mut dictionary = Self::default();
        let mut rows = session.stream(READ, &[&0]).await?;
        while let Some(found) = rows.try_next().await? {
            dictionary.editions.take(found.try_get(0)?, found.try_get(1)?)?;
        }
        Ok(dictionary)
    }
}

impl Intern {
    /// Forgets the editions that were removed since it last did.
    pub(in crate::store::postgres) async fn sync(&self, session: &Session) -> Step<()> {
        let before = self.read().version;
        let Some(generation) = before.generation else { return self.ask_generation(session).await };
        let rows = session.query(CHANGED, &[&generation]).await?;
        let Some(first) = rows.first() else { return Ok(()) };
        let (now, from): (i32, i32) = (first.try_get(0)?, first.try_get(1)?);
        if now <= generation {
            return Ok(());
        }
        // Blocks that had no edition left were dropped.
        if generation < from {
            self.forget();
            return self.ask_generation(session).await;
        }
        let mut dictionary = self.write();
        // Another task was faster, or all was forgotten.
        if dictionary.version != before {
            return Ok(());
        }
        for found in &rows {
            if let Some(first) = found.try_get::<_, Option<i32>>(2)? {
                dictionary.editions.forget_gaps(first, found.try_get(3)?)?;
            }
        }
        dictionary.version.generation = Some(now);
        Ok(())
    }

    /// Forgets the titles that no edition has any more. Goes over the whole dictionary.
    pub(in crate::store::postgres) fn forget_titles(&self) {
        self.write().editions.forget_titles();
    }

    /// Asks for the generation of a dictionary that has no blocks yet: those that are read afterwards do not have what was
    /// removed until then.
    pub(super) async fn ask_generation(&self, session: &Session) -> Step<()> {
        let before = self.read().version;
        if before.generation.is_none() {
            let generation = removal::generations(session).await?.editions;
            let mut dictionary = self.write();
            if dictionary.version == before {
                dictionary.version.generation = Some(generation);
            }
        }
        Ok(())
    }

    /// Reads what other collectors have added and removed.
    pub(in crate::store::postgres) async fn refresh(&self, session: &Session) -> Step<()> {
        self.sync(session).await?;
        for _ in 0..TRIES {
            if self.read_added(session).await? {
                return Ok(());
            }
        }
        Err(forgotten())
    }

    /// Returns whether all of it was added.
    async fn read_added(&self, session: &Session) -> Step<bool> {
        let turn = if self.is_empty() { Some(self.reading.lock().await) } else { None };
        self.ask_generation(session).await?;
        if self.is_empty() {
            let most = session.query_first(LAST, &[]).await?;
            let most = most.map_or(Ok(0), |found| found.try_get(0))?;
            self.write().editions.reserve_to(most);
        }
        // Rows are added as they come: all of them may be hundreds of megabytes.
        let mut known = self.read().known();
        let mut rows = session.stream(READ, &[&known.last]).await?;
        let (mut added, mut bytes) = (Added::default(), 0);
        while let Some(found) = rows.try_next().await? {
            let block: Block = (found.try_get(0)?, found.try_get(1)?);
            added.generation = found.try_get(2)?;
            bytes += block.1.len();
            added.blocks.push(block);
            if bytes >= STEP_BYTES {
                match self.learn(&added, known)? {
                    Some(now) => known = now,
                    None => return Ok(false),
                }
                added.blocks.clear();
                bytes = 0;
            }
        }
        let is_all = self.learn(&added, known)?.is_some();
        if turn.is_some() {
            self.write().editions.shrink();
        }
        Ok(is_all)
    }

    /// Adds blocks that were read when the dictionary was known so far, and returns how far it is known now; `None` if they may
    /// have what it has forgotten.
    pub(super) fn learn(&self, added: &Added, known: Known) -> Step<Option<Known>> {
        // Searches read the dictionary, and waiting for them would block a worker of the runtime for nothing.
        if added.blocks.is_empty() {
            let now = self.read().known();
            return Ok((now.version == known.version).then_some(now));
        }
        let mut dictionary = self.write();
        let is_new = known.version.generation.is_some_and(|generation| generation <= added.generation);
        if dictionary.version != known.version || !is_new {
            return Ok(None);
        }
        dictionary.take(&added.blocks)?;
        Ok(Some(dictionary.known()))
    }
}
