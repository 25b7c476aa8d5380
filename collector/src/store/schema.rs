//! Which migrations a database still needs. Both backends ask; each of them reads the applied ones and runs the steps.
//!
//! A migration is known by its number and by the digest of its text. A database whose first migration has another text
//! was made by another build: its tables may lack what this version reads, so it is refused instead of failing later.

use muster_proto::model::Digest;

use super::StoreError;

/// A numbered step of the schema: administrative tables, which both backends have, then the backend's own.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Migration {
    /// From 1, without gaps.
    pub(in crate::store) number: i64,
    pub(in crate::store) name: &'static str,
    /// The administrative tables, in `text`, `bigint` and `bytes`.
    pub(in crate::store) admin: &'static str,
    /// The SQL of this backend.
    pub(in crate::store) own: &'static str,
    pub(in crate::store) dialect: Dialect,
}

/// The words of a database for types and table options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Dialect {
    Sqlite,
    Postgres,
}

impl Migration {
    /// The statements of the step.
    pub(in crate::store) fn statements(&self) -> String {
        format!("{}{}", translated(self.admin, self.dialect), self.own)
    }

    /// The digest of its text, in hex, as `schema_version` stores it.
    pub(in crate::store) fn digest(&self) -> String {
        Digest::of(self.statements().as_bytes()).to_string()
    }
}

/// The administrative tables in the words of one database.
fn translated(text: &str, dialect: Dialect) -> String {
    let mut translated = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        // Comments may use the words that are translated.
        let mut rest = line.split("--").next().unwrap_or_default();
        while let Some(start) = rest.find(|c: char| c.is_ascii_lowercase()) {
            let after = |c: char| !c.is_ascii_lowercase() && c != '_';
            let end = rest[start..].find(after).map_or(rest.len(), |length| start + length);
            translated.push_str(&rest[..start]);
            translated.push_str(match (dialect, &rest[start..end]) {
                (Dialect::Sqlite, "bigint") => "INTEGER",
                (Dialect::Sqlite, "text") => "TEXT",
                (Dialect::Sqlite, "bytes") => "BLOB",
                // Texts are compared byte by byte, as SQLite does.
                (Dialect::Postgres, "text") => "text COLLATE \"C\"",
                (Dialect::Postgres, "bytes") => "bytea",
                (_, word) => word,
            });
            rest = &rest[end..];
        }
        translated.push_str(rest.trim_end());
        translated.push('\n');
    }
    match dialect {
        // STRICT makes SQLite refuse values of other types, as PostgreSQL does.
        Dialect::Sqlite => translated.replace("\n);", "\n) STRICT;"),
        Dialect::Postgres => translated,
    }
}

/// A row of `schema_version`.
#[derive(Debug, Clone)]
pub(in crate::store) struct Applied {
    pub(in crate::store) number: i64,
    pub(in crate::store) name: String,
    /// `None` in a database of a build that did not store digests.
    pub(in crate::store) digest: Option<String>,
}

/// The migrations that the database at `place` still needs, in order.
///
/// # Errors
/// [`StoreError::NewerSchema`] if the database has a migration with a higher number than the last of `migrations`.
/// [`StoreError::OtherSchema`] if one of its migrations has another text than ours.
pub(in crate::store) fn pending<'m>(
    applied: &[Applied],
    migrations: &'m [Migration],
    place: &str,
) -> Result<&'m [Migration], StoreError> {
    let newest = |numbers: &mut dyn Iterator<Item = i64>| numbers.max().unwrap_or_default();
    let found = newest(&mut applied.iter().map(|row| row.number));
    let known = newest(&mut migrations.iter().map(|migration| migration.number));
    // Before the digests: a newer collector is the likelier reason, and its advice is the better one.
    if found > known {
        return Err(StoreError::NewerSchema { place: place.to_owned(), found, known });
    }
    for row in applied {
        let ours = migrations.iter().find(|migration| migration.number == row.number);
        if ours.is_none_or(|migration| Some(migration.digest()) != row.digest) {
            let name = row.name.clone();
            return Err(StoreError::OtherSchema { place: place.to_owned(), number: row.number, name });
        }
    }
    let done = migrations.iter().take_while(|migration| migration.number <= found).count();
    Ok(&migrations[done..])
}

/// Whether the database at `place` needs no migration.
///
/// # Errors
/// As [`pending`], and [`StoreError::Empty`] or [`StoreError::OlderSchema`] if migrations are pending.
pub(in crate::store) fn newest(applied: &[Applied], migrations: &[Migration], place: &str) -> Result<(), StoreError> {
    let place_of = || place.to_owned();
    match (applied.last(), pending(applied, migrations, place)?.last()) {
        (_, None) => Ok(()),
        (None, Some(_)) => Err(StoreError::Empty { place: place_of() }),
        (Some(found), Some(newest)) => {
            Err(StoreError::OlderSchema { place: place_of(), found: found.number, known: newest.number })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[Migration] = &[
        Migration {
            number: 1,
            name: "initial",
            admin: "",
            own: "CREATE TABLE a (b INTEGER)",
            dialect: Dialect::Sqlite,
        },
        Migration { number: 2, name: "more", admin: "", own: "CREATE TABLE c (d INTEGER)", dialect: Dialect::Sqlite },
    ];

    fn applied(number: i64, digest: Option<String>) -> Applied {
        Applied { number, name: "initial".to_owned(), digest }
    }

    fn numbers(rows: &[Applied]) -> Result<Vec<i64>, String> {
        let pending = pending(rows, TWO, "fleet.db").map_err(|error| error.to_string())?;
        Ok(pending.iter().map(|migration| migration.number).collect())
    }

    #[test]
    fn types_are_translated_and_names_and_comments_are_not() {
        let text = "CREATE TABLE t (\n    text_id text NOT NULL, -- a text\n    n bigint,\n    b bytes\n);\n";
        assert_eq!(
            translated(text, Dialect::Sqlite),
            "CREATE TABLE t (\n    text_id TEXT NOT NULL,\n    n INTEGER,\n    b BLOB\n) STRICT;\n"
        );
        assert_eq!(
            translated(text, Dialect::Postgres),
            "CREATE TABLE t (\n    text_id text COLLATE \"C\" NOT NULL,\n    n bigint,\n    b bytea\n);\n"
        );
    }

    #[test]
    fn only_the_migrations_that_are_missing_are_pending() {
        assert_eq!(numbers(&[]), Ok(vec![1, 2]));
        let (one, two) = (applied(1, Some(TWO[0].digest())), applied(2, Some(TWO[1].digest())));
        assert_eq!(numbers(std::slice::from_ref(&one)), Ok(vec![2]));
        assert_eq!(numbers(&[one.clone(), two.clone()]), Ok(vec![]));
        assert!(newest(&[one.clone(), two], TWO, "fleet.db").is_ok());
        let older = newest(&[one], TWO, "fleet.db").expect_err("older");
        assert!(matches!(older, StoreError::OlderSchema { found: 1, known: 2, .. }), "{older}");
        assert!(matches!(newest(&[], TWO, "fleet.db"), Err(StoreError::Empty { .. })));
    }

    #[test]
    fn a_migration_with_another_text_or_without_a_digest_is_not_ours() {
        for digest in [Some(TWO[1].digest()), Some(String::new()), None] {
            let refused = numbers(&[applied(1, digest)]).expect_err("another build");
            assert!(refused.contains("fleet.db") && refused.contains("migration 1 (initial)"), "{refused}");
        }
    }

    #[test]
    fn a_newer_schema_is_refused_as_newer_whatever_its_digests_are() {
        let refused = pending(&[applied(1, None), applied(3, None)], TWO, "fleet.db").expect_err("newer");
        assert!(matches!(refused, StoreError::NewerSchema { found: 3, known: 2, .. }), "{refused}");
    }
}
