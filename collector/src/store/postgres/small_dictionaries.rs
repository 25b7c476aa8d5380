//! Small dictionaries: sites, orders, versions of rules, and the phrases that many rows repeat. What is in them is never
//! changed, so a number that was read or made once is good for ever. New ones are made outside of the operation that needs
//! them and committed at once: that keeps the lock on a new entry short, and an entry that nobody uses does no harm.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use muster_proto::model::{Digest, OrderId};

use super::fault::{PostgresFault, Step};
use super::session::Session;

const KNOWN: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// One of the dictionaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SmallDictionary {
    Site,
    Order,
    Rules,
    Phrase,
}

impl SmallDictionary {
    /// Finds texts, `$1`, and their numbers.
    const fn find(self) -> &'static str {
        match self {
            Self::Site => "SELECT no, text FROM site WHERE text = ANY ($1::text[])",
            Self::Order => "SELECT no, text FROM orders WHERE text = ANY ($1::text[])",
            Self::Rules => "SELECT no, text FROM rules WHERE text = ANY ($1::text[])",
            Self::Phrase => {
                "SELECT p.no, p.text FROM unnest($1::text[], $2::bytea[]) AS w (text, key) JOIN phrase p ON p.key = w.key"
            }
        }
    }

    /// Makes entries for texts that have none.
    const fn make(self) -> &'static str {
        match self {
            Self::Site => "INSERT INTO site (text) SELECT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING",
            Self::Order => "INSERT INTO orders (text) SELECT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING",
            Self::Rules => "INSERT INTO rules (text) SELECT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING",
            Self::Phrase => {
                "INSERT INTO phrase (text, key) SELECT text, key FROM unnest($1::text[], $2::bytea[]) AS w (text, key)
                 ORDER BY text ON CONFLICT DO NOTHING"
            }
        }
    }
}

/// Numbers by texts, and names of orders by numbers.
pub(super) struct SmallDictionaries {
    numbers: Mutex<LruCache<(SmallDictionary, Box<str>), i32>>,
    orders: Mutex<HashMap<i32, OrderId>>,
}

impl Default for SmallDictionaries {
    fn default() -> Self {
        Self { numbers: Mutex::new(LruCache::new(KNOWN)), orders: Mutex::default() }
    }
}

impl SmallDictionaries {
    /// The number of a text; `None` when it is in no row.
    pub(super) async fn find(&self, session: &Session, dictionary: SmallDictionary, text: &str) -> Step<Option<i32>> {
        let wanted = BTreeSet::from([text]);
        let mut known = HashMap::new();
        let missing = self.known(dictionary, &wanted, &mut known);
        if !missing.is_empty() {
            self.read(session, dictionary, &missing, &mut known).await?;
        }
        Ok(known.remove(text))
    }

    /// The numbers of these texts, made where they are new. The session must not be within a transaction.
    pub(super) async fn numbers<'t>(
        &self,
        session: &Session,
        dictionary: SmallDictionary,
        texts: &BTreeSet<&'t str>,
    ) -> Step<HashMap<&'t str, i32>> {
        let mut known = HashMap::new();
        let missing = self.known(dictionary, texts, &mut known);
        if missing.is_empty() {
            return Ok(known);
        }
        let missing = self.read(session, dictionary, &missing, &mut known).await?;
        if missing.is_empty() {
            return Ok(known);
        }
        let keys: Vec<Vec<u8>> = missing.iter().map(|text| key_of(text)).collect();
        if dictionary == SmallDictionary::Phrase {
            session.execute(dictionary.make(), &[&missing, &keys]).await?;
        } else {
            session.execute(dictionary.make(), &[&missing]).await?;
        }
        // Read again and not returned: another collector may have made it at the same moment.
        let missing = self.read(session, dictionary, &missing, &mut known).await?;
        match missing.first() {
            None => Ok(known),
            Some(text) => {
                Err(PostgresFault::other(format!("{text:?} is in no row of {dictionary:?} although it was made")))
            }
        }
    }

    /// The number of one text, made when it is new.
    pub(super) async fn number(&self, session: &Session, dictionary: SmallDictionary, text: &str) -> Step<i32> {
        let numbers = self.numbers(session, dictionary, &BTreeSet::from([text])).await?;
        numbers.get(text).copied().ok_or_else(|| PostgresFault::other(format!("{text:?} has no number")))
    }

    /// The order of a number.
    pub(super) async fn order(&self, session: &Session, no: i32) -> Step<OrderId> {
        if let Some(order) = lock(&self.orders).get(&no) {
            return Ok(order.clone());
        }
        let row = session.query_first("SELECT text FROM orders WHERE no = $1", &[&no]).await?;
        let row = row.ok_or_else(|| PostgresFault::damaged(format!("order {no}"), "it is not there"))?;
        let order = super::row::name("an order", &row, 0, OrderId::new)?;
        lock(&self.orders).insert(no, order.clone());
        Ok(order)
    }

    fn known<'t>(
        &self,
        dictionary: SmallDictionary,
        texts: &BTreeSet<&'t str>,
        known: &mut HashMap<&'t str, i32>,
    ) -> Vec<&'t str> {
        let mut numbers = lock(&self.numbers);
        let mut missing = Vec::new();
        for text in texts {
            match numbers.get(&(dictionary, Box::from(*text))) {
                Some(no) => drop(known.insert(*text, *no)),
                None => missing.push(*text),
            }
        }
        missing
    }

    /// Reads what the tables have of these, and says what they have not.
    async fn read<'t>(
        &self,
        session: &Session,
        dictionary: SmallDictionary,
        texts: &[&'t str],
        known: &mut HashMap<&'t str, i32>,
    ) -> Step<Vec<&'t str>> {
        let keys: Vec<Vec<u8>> = texts.iter().map(|text| key_of(text)).collect();
        let rows = if dictionary == SmallDictionary::Phrase {
            session.query(dictionary.find(), &[&texts, &keys]).await?
        } else {
            session.query(dictionary.find(), &[&texts]).await?
        };
        let mut numbers = lock(&self.numbers);
        let mut found = HashMap::new();
        for row in &rows {
            found.insert(row.try_get::<_, &str>(1)?, row.try_get::<_, i32>(0)?);
        }
        let mut missing = Vec::new();
        for text in texts {
            match found.get(text) {
                Some(no) => {
                    known.insert(*text, *no);
                    numbers.put((dictionary, Box::from(*text)), *no);
                }
                None => missing.push(*text),
            }
        }
        Ok(missing)
    }
}

/// By what the tables find a text that may be long.
pub(super) fn key_of(text: &str) -> Vec<u8> {
    Digest::of(text.as_bytes()).as_bytes()[..16].to_vec()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
