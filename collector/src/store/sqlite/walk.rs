//! Reading what an index has of many numbers: those that are close to each other in one go, others by their own look-up.

use rusqlite::{Connection, Row};

use super::fault::Step;

/// How many rows without a wanted number are passed before the next wanted one is looked up.
pub(super) const PASSED: usize = 8;

/// Shows the rows of these numbers, which are ascending. `find` reads an index in order from a number on; its first column is
/// that number. `show` gets each row that is read, and whether its number is wanted.
pub(super) fn rows_of(
    sql: &Connection,
    find: &str,
    numbers: &[i64],
    mut show: impl FnMut(i64, &Row<'_>, bool) -> Step<()>,
) -> Step<()> {
    let mut statement = sql.prepare_cached(find)?;
    let mut rest = numbers;
    while let Some(next) = rest.first() {
        let mut rows = statement.query([next])?;
        let mut passed = 0;
        while passed < PASSED {
            let Some(row) = rows.next()? else { return Ok(()) };
            let number: i64 = row.get(0)?;
            while rest.first().is_some_and(|wanted| *wanted < number) {
                rest = &rest[1..];
            }
            match rest.first() {
                None => return Ok(()),
                Some(wanted) if *wanted == number => {
                    passed = 0;
                    show(number, row, true)?;
                }
                Some(_) => {
                    passed += 1;
                    show(number, row, false)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of these numbers, and how many rows were read.
    fn read(sql: &Connection, numbers: &[i64]) -> (Vec<(i64, i64)>, usize) {
        let (mut values, mut rows) = (Vec::new(), 0);
        let find = "SELECT number, value FROM pairs WHERE number >= ?1 ORDER BY number, value";
        let show = |number: i64, row: &Row<'_>, is_wanted: bool| {
            rows += 1;
            if is_wanted {
                values.push((number, row.get(1)?));
            }
            Ok(())
        };
        rows_of(sql, find, numbers, show).expect("reads");
        (values, rows)
    }

    #[test]
    fn close_numbers_are_read_in_one_go_and_distant_ones_are_looked_up() {
        let sql = Connection::open_in_memory().expect("opens");
        sql.execute_batch(
            "CREATE TABLE pairs (number INTEGER, value INTEGER, PRIMARY KEY (number, value)) WITHOUT ROWID;
             WITH RECURSIVE n (x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n LIMIT 20000)
             INSERT INTO pairs SELECT x / 2, x FROM n;",
        )
        .expect("makes the table");
        let every: Vec<i64> = (0..10_000).collect();
        let (values, rows) = read(&sql, &every);
        assert_eq!((values.len(), rows), (20_000, 20_000));
        assert_eq!(values[..3], [(0, 0), (0, 1), (1, 2)]);
        let few = [3, 4, 5_000, 9_998, 20_000];
        let (values, rows) = read(&sql, &few);
        assert_eq!(
            values,
            [(3, 6), (3, 7), (4, 8), (4, 9), (5_000, 10_000), (5_000, 10_001), (9_998, 19_996), (9_998, 19_997)]
        );
        assert!(rows <= values.len() + few.len() * PASSED, "{rows} rows");
        assert_eq!(read(&sql, &[]), (Vec::new(), 0));
    }
}
