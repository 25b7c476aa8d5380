//! Editions that are removed between two steps of those who use them.

use std::path::PathBuf;
use std::sync::Arc;

use muster_proto::canonical::{self, CanonicalSection};
use muster_proto::model::Section;

use super::super::dictionary::MemoryOrTable;
use super::super::report::{self, ReceivedSnapshot};
use super::super::section::{self, Packed};
use super::super::{SqliteStore, open};
use crate::store::contract::{
    assert_healthy, current, delivery, enrolled_fleet, forget_the_past, packages, pass, reports, snapshot,
};
use crate::store::{Allowance, Delivered, Store};

/// A store whose parts are within reach.
struct Opened {
    inner: Arc<SqliteStore>,
    store: Arc<dyn Store>,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn opened() -> Opened {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fleet.db");
    let inner = Arc::new(SqliteStore::on(open::writer(&path).expect("opens"), &path).expect("opens"));
    let store: Arc<dyn Store> = Arc::<SqliteStore>::clone(&inner);
    Opened { inner, store, path, _folder: folder }
}

impl Opened {
    /// Host 1 has these packages, and then only some of them. Its past is gone, and with it the section that had all.
    async fn leave(&self, all: &[Section; 1], some: &[Section; 1]) {
        enrolled_fleet(&self.store, 1).await;
        reports(&self.store, 1, 1, 10, all).await;
        reports(&self.store, 1, 2, 20, some).await;
        forget_the_past(&self.store).await;
    }
}

fn all_and_some() -> ([Section; 1], [Section; 1]) {
    ([packages(&[("adduser", "3"), ("kesl", "12")])], [packages(&[("adduser", "3")])])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_that_was_encoded_before_a_removal_is_encoded_again() {
    let (all, some) = all_and_some();
    let opened = opened();
    opened.leave(&all, &some).await;
    let Opened { inner, store, .. } = &opened;
    // What `snapshot_deliver` does in the caller's task.
    let packed = Packed::new(&CanonicalSection::from(&all[0]), inner.memory.dictionaries(), &Allowance::unlimited());
    let packed = vec![packed.expect("no bound")];
    assert_eq!(pass(store, 30, 30).await.editions, 1);
    let received = ReceivedSnapshot { operation: delivery(1, 3, 40, &all, &all), packed, held_back: None };
    let deliver = inner.writer.operation("snapshot_deliver", move |context| report::deliver(context, &received));
    assert_eq!(deliver.await.expect("delivers"), Delivered::Accepted);
    assert_healthy(store).await;
    assert_eq!(current(store, 1).await, Some(canonical::snapshot_digest(&snapshot(&all))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_an_earlier_moment_still_reads_what_was_removed() {
    let (all, some) = all_and_some();
    let opened = opened();
    opened.leave(&all, &some).await;
    let Opened { inner, store, path, .. } = &opened;
    let reader = open::reader(path).expect("opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM section").expect("begins");
    assert_eq!(pass(store, 30, 30).await.editions, 1);
    let digest = canonical::section_digest(&all[0]);
    let mut lookup = MemoryOrTable(inner.memory.dictionaries(), &reader);
    let read = section::get(&reader, &mut lookup, &digest).expect("reads");
    assert_eq!(read.map(|section| section.digest()), Some(digest));
    assert!(store.section_get(digest).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_a_removed_edition_is_not_given_again_after_a_restart() {
    let (all, some) = all_and_some();
    let opened = opened();
    opened.leave(&all, &some).await;
    let Opened { store, path, .. } = &opened;
    assert_eq!(pass(store, 30, 30).await.editions, 1);
    store.close().await.expect("closes");
    let sql = open::writer(path).expect("opens");
    let last = |what: &str| -> i64 { sql.query_row(what, [], |row| row.get(0)).expect("asks") };
    assert_eq!((last("SELECT max(no) FROM edition"), last("SELECT count(*) FROM title")), (1, 1));
    let again: Arc<dyn Store> = Arc::new(SqliteStore::on(open::writer(path).expect("opens"), path).expect("opens"));
    reports(&again, 1, 3, 40, &[packages(&[("adduser", "3"), ("wget", "1")])]).await;
    assert_eq!(last("SELECT max(no) FROM edition"), 3);
    assert_healthy(&again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_came_back_before_its_row_was_removed_has_one_number_after_a_restart() {
    let (all, some) = all_and_some();
    let opened = opened();
    opened.leave(&all, &some).await;
    let Opened { store, path, .. } = &opened;
    assert_eq!(pass(store, 30, 30).await.editions, 1);
    reports(store, 1, 3, 40, &all).await;
    store.close().await.expect("closes");
    let sql = open::writer(path).expect("opens");
    let asked = |what: &str| -> i64 { sql.query_row(what, [], |row| row.get(0)).expect("asks") };
    // As after a stop between the two: the pass has forgotten the title, and its row is still there.
    let put_back = "INSERT INTO title (no, platform, kind, name, vendor)
                    SELECT 2, platform, kind, name, vendor FROM title WHERE no = 3";
    assert_eq!(sql.execute(put_back, []).expect("puts"), 1);
    let editions = asked("SELECT count(*) FROM edition");
    let again: Arc<dyn Store> = Arc::new(SqliteStore::on(open::writer(path).expect("opens"), path).expect("opens"));
    let other = [packages(&[("adduser", "3"), ("kesl", "12"), ("wget", "1")])];
    reports(&again, 1, 4, 50, &other).await;
    assert_eq!(asked("SELECT count(*) FROM edition"), editions + 1, "kesl has a second number");
    assert_healthy(&again).await;
    pass(&again, 60, 30).await;
    assert_eq!(asked("SELECT count(*) FROM title WHERE no = 2"), 0, "the next pass removes the row");
    assert_healthy(&again).await;
}
