//! Small dictionaries: sites, orders, versions of rules, and phrases, each a table of texts with numbers.
//!
//! Rows are never changed, so a number stays valid once it was read, and it is cached. New rows are added outside of
//! the operation that needs them and committed at once: their locks are short, and a row that nobody uses does no harm.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use muster_proto::model::{Digest, OrderId};

use super::fault::{PostgresFault, Step};
use super::session::Session;
use crate::store::SiteScope;

/// Numbers in the cache; the least recently used ones are dropped.
const CACHED: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// One of the dictionaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SmallDictionary {
    Site,
    Order,
    Rules,
    Phrase,
}

impl SmallDictionary {
    /// Selects the numbers of the texts in `$1`.
    const fn find(self) -> &'static str {
        match self {
            Self::Site => "SELECT no::int4, id FROM site WHERE id = ANY ($1::text[])",
            Self::Order => "SELECT no, text FROM orders WHERE text = ANY ($1::text[])",
            Self::Rules => "SELECT no, text FROM rules WHERE text = ANY ($1::text[])",
            Self::Phrase => {
                "SELECT p.no, p.text FROM unnest($1::text[], $2::bytea[]) AS w (text, key) JOIN phrase p ON p.key = w.key"
            }
        }
    }

    /// Adds the texts in `$1` that have no row.
    ///
    /// Sites are added with the tokens and accounts that name them.
    const fn add(self) -> Option<&'static str> {
        Some(match self {
            Self::Site => return None,
            Self::Order => "INSERT INTO orders (text) SELECT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING",
            Self::Rules => "INSERT INTO rules (text) SELECT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING",
            Self::Phrase => {
                "INSERT INTO phrase (text, key) SELECT text, key FROM unnest($1::text[], $2::bytea[]) AS w (text, key)
                 ORDER BY text ON CONFLICT DO NOTHING"
            }
        })
    }
}

/// The cache: numbers by texts, and ids of orders by numbers.
pub(super) struct SmallDictionaries {
    numbers: Mutex<LruCache<(SmallDictionary, Box<str>), i32>>,
    orders: Mutex<HashMap<i32, OrderId>>,
}

impl Default for SmallDictionaries {
    fn default() -> Self {
        Self { numbers: Mutex::new(LruCache::new(CACHED)), orders: Mutex::default() }
    }
}

impl SmallDictionaries {
    /// The number of a text; `None` if it has no row.
    pub(super) async fn find(&self, session: &Session, dictionary: SmallDictionary, text: &str) -> Step<Option<i32>> {
        let wanted = BTreeSet::from([text]);
        let mut known = HashMap::new();
        let missing = self.cached(dictionary, &wanted, &mut known);
        if !missing.is_empty() {
            self.read(session, dictionary, &missing, &mut known).await?;
        }
        Ok(known.remove(text))
    }

    /// A condition on a column that holds the numbers of sites. Sites without a row are left out.
    pub(super) async fn within(&self, session: &Session, column: &str, scope: &SiteScope) -> Step<String> {
        let SiteScope::Only(sites) = scope else { return Ok("true".to_owned()) };
        let mut numbers = Vec::new();
        for site in sites {
            let number = self.find(session, SmallDictionary::Site, site.as_str()).await?;
            numbers.extend(number.map(|number| number.to_string()));
        }
        // PostgreSQL has no empty list.
        Ok(if numbers.is_empty() { "false".to_owned() } else { format!("{column} IN ({})", numbers.join(", ")) })
    }

    /// The numbers of these texts; new ones are added. The session must not be in a transaction.
    pub(super) async fn numbers<'t>(
        &self,
        session: &Session,
        dictionary: SmallDictionary,
        texts: &BTreeSet<&'t str>,
    ) -> Step<HashMap<&'t str, i32>> {
        let mut known = HashMap::new();
        let missing = self.cached(dictionary, texts, &mut known);
        if missing.is_empty() {
            return Ok(known);
        }
        let missing = self.read(session, dictionary, &missing, &mut known).await?;
        if missing.is_empty() {
            return Ok(known);
        }
        let keys: Vec<Vec<u8>> = missing.iter().map(|text| key_of(text)).collect();
        match dictionary.add() {
            Some(add) if dictionary == SmallDictionary::Phrase => session.execute(add, &[&missing, &keys]).await?,
            Some(add) => session.execute(add, &[&missing]).await?,
            None => return Ok(known),
        };
        // Read again instead of using RETURNING: another collector may have added the same text at the same moment.
        let missing = self.read(session, dictionary, &missing, &mut known).await?;
        match missing.first() {
            None => Ok(known),
            Some(text) => {
                Err(PostgresFault::other(format!("{text:?} was added to {dictionary:?}, but has no row there")))
            }
        }
    }

    /// The number of one text, which is added if it is new.
    pub(super) async fn number(&self, session: &Session, dictionary: SmallDictionary, text: &str) -> Step<i32> {
        let numbers = self.numbers(session, dictionary, &BTreeSet::from([text])).await?;
        numbers.get(text).copied().ok_or_else(|| PostgresFault::other(format!("{text:?} has no number")))
    }

    /// The numbers of four phrases, in the same order.
    pub(super) async fn phrases(&self, session: &Session, texts: [&str; 4]) -> Step<[i32; 4]> {
        let numbers = self.numbers(session, SmallDictionary::Phrase, &BTreeSet::from(texts)).await?;
        Ok(texts.map(|text| numbers.get(text).copied().unwrap_or_default()))
    }

    /// The order with this number.
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

    /// Adds what is in the cache to `known`, and returns the other texts.
    fn cached<'t>(
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

    /// Adds what is in the table to `known`, and returns the texts that are not.
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

/// The key by which the table finds a phrase: half of its digest.
pub(super) fn key_of(text: &str) -> Vec<u8> {
    Digest::of(text.as_bytes()).as_bytes()[..16].to_vec()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
