//! How good the catalogue is on records that say what they are: recall and false accusation by platform and source kind.
//!
//! A record's `expect` is one of `prohibited`, `remnant`, `exempt`, `oem` or `embedded`, `suspect`, and `benign`,
//! `lookalike` or `none`. An answer of `suspect` is half right, and wholly where the record's note says that the trace is
//! weak or generic; on something harmless it is an accusation unless the note calls it ambiguous.

use std::collections::BTreeMap;

use serde_json::Value;

/// One platform and source kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Score {
    /// Records of prohibited products.
    pub prohibited: u64,
    /// How many of them were recognised, in halves.
    pub prohibited_halves: u64,
    /// Records of remnants, of exempt and of embedded products, and of traces that prove nothing.
    pub others: u64,
    /// How many of these were answered so, in halves.
    pub others_halves: u64,
    /// Records of harmless things.
    pub harmless: u64,
    /// How many of these were accused.
    pub accused: u64,
}

/// All rows, and what could not be counted.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Scores {
    /// By platform and source kind.
    pub rows: BTreeMap<String, Score>,
    /// Lines that do not say what they are, or were no records.
    pub uncounted: u64,
}

impl Scores {
    /// Counts an answer of [`super::matching::Matcher::line`].
    pub fn add(&mut self, answer: &str) {
        let Some(record) = serde_json::from_str::<Value>(answer).ok().filter(|record| record["match"].is_string())
        else {
            self.uncounted += u64::from(!answer.is_empty());
            return;
        };
        let text = |key: &str| record[key].as_str().unwrap_or_default();
        let note = text("note").to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| note.contains(word));
        let (expected, answer) = (text("expect"), text("match"));
        let halves = |right: &[&str]| match answer {
            answer if right.contains(&answer) => 2,
            "suspect" if says(&["weak", "generic"]) => 2,
            "suspect" => 1,
            _ => 0,
        };
        let mut row = Score::default();
        match expected {
            "prohibited" => (row.prohibited, row.prohibited_halves) = (1, halves(&["prohibited", "management-only"])),
            "remnant" | "exempt" | "suspect" => (row.others, row.others_halves) = (1, halves(&[expected])),
            "oem" | "embedded" => (row.others, row.others_halves) = (1, halves(&["embedded"])),
            "benign" | "lookalike" | "none" => {
                let is_clean = answer == "none" || (answer == "suspect" && says(&["ambiguous"]));
                (row.harmless, row.accused) = (1, u64::from(!is_clean));
            }
            _ => {
                self.uncounted += 1;
                return;
            }
        }
        let name = format!("{} {}", text("platform"), text("source_kind"));
        self.rows.entry(name).or_default().merge(&row);
    }

    /// All rows together.
    #[must_use]
    pub fn total(&self) -> Score {
        let mut total = Score::default();
        self.rows.values().for_each(|row| total.merge(row));
        total
    }
}

impl Score {
    fn merge(&mut self, other: &Self) {
        self.prohibited += other.prohibited;
        self.prohibited_halves += other.prohibited_halves;
        self.others += other.others;
        self.others_halves += other.others_halves;
        self.harmless += other.harmless;
        self.accused += other.accused;
    }

    /// The share of prohibited products that were recognised, in per cent; `None` where there is none.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        share(self.prohibited_halves, self.prohibited)
    }

    /// The same of remnants, exempt and embedded products.
    #[must_use]
    pub fn others_recall(&self) -> Option<f64> {
        share(self.others_halves, self.others)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of records are far below 2^52")]
fn share(halves: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| halves as f64 * 50.0 / of as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(records: &[(&str, &str, &str)]) -> Score {
        let mut scores = Scores::default();
        for (expect, answer, note) in records {
            let line = serde_json::json!({
                "platform": "linux", "source_kind": "deb", "expect": expect, "match": answer, "note": note,
            });
            scores.add(&line.to_string());
        }
        scores.total()
    }

    #[test]
    fn a_suspect_is_half_right_and_wholly_where_the_record_is_weak() {
        let score = scored(&[
            ("prohibited", "management-only", ""),
            ("prohibited", "suspect", ""),
            ("prohibited", "suspect", "weak on its own"),
            ("prohibited", "none", ""),
        ]);
        assert_eq!(score.recall(), Some(62.5));
        assert_eq!(score.others_recall(), None);
    }

    #[test]
    fn what_is_harmless_and_answered_is_accused() {
        let score = scored(&[
            ("benign", "none", ""),
            ("lookalike", "suspect", ""),
            ("lookalike", "suspect", "ambiguous"),
            ("none", "exempt", ""),
        ]);
        assert_eq!((score.harmless, score.accused), (4, 2));
    }

    #[test]
    fn what_does_not_say_what_it_is_is_counted_apart() {
        let mut scores = Scores::default();
        scores.add("");
        scores.add("no JSON");
        scores.add(r#"{"platform":"linux","match":"none"}"#);
        assert_eq!((scores.uncounted, scores.rows.len()), (2, 0));
    }
}
