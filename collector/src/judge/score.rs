//! Scores the catalogue on labelled records: recall and false positives by platform and source kind.
//!
//! A record's `expect` is one of `prohibited`, `remnant`, `exempt`, `oem` or `embedded`, `suspect`, and `benign`,
//! `lookalike` or `none`. An answer of `suspect` is half right, and fully right if the record's note says that the
//! evidence is weak or generic. On a harmless record it is a false positive unless the note calls the record ambiguous.
//!
//! A record of another vendor's product has `expect_product` instead: the id of the product, or an empty text if it is
//! no product of the catalogue. Records whose note says `certainty: low` are not counted.

use std::collections::BTreeMap;

use serde_json::Value;

/// The score of one platform and source kind. Halves count an answer that is half right.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Score {
    /// Records of prohibited products.
    pub prohibited: u64,
    /// How many of them were recognised, in halves.
    pub prohibited_halves: u64,
    /// Records of remnants, of exempt and embedded products, and of weak evidence.
    pub others: u64,
    /// How many of these were answered correctly, in halves.
    pub others_halves: u64,
    /// Harmless records.
    pub harmless: u64,
    /// How many of these are false positives.
    pub accused: u64,
    /// Records with an expected product.
    pub products: u64,
    /// How many of them were recognised as that product.
    pub products_right: u64,
}

/// All rows, and how many lines could not be scored.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Scores {
    /// By platform and source kind.
    pub rows: BTreeMap<String, Score>,
    /// Lines without a known `expect`, lines that are not records, and records of low certainty.
    pub uncounted: u64,
}

impl Scores {
    /// Scores an answer of [`super::matching::Matcher::line`].
    pub fn add(&mut self, answer: &str) {
        let Some(record) = serde_json::from_str::<Value>(answer).ok().filter(|record| record["match"].is_string())
        else {
            self.uncounted += u64::from(!answer.is_empty());
            return;
        };
        let text = |key: &str| record[key].as_str().unwrap_or_default();
        let note = text("note").to_lowercase();
        let notes = |words: &[&str]| words.iter().any(|word| note.contains(word));
        let (expected, answer) = (text("expect"), text("match"));
        let halves = |right: &[&str]| match answer {
            answer if right.contains(&answer) => 2,
            "suspect" if notes(&["weak", "generic"]) => 2,
            "suspect" => 1,
            _ => 0,
        };
        if notes(&["certainty: low"]) {
            self.uncounted += 1;
            return;
        }
        let mut row = Score::default();
        match expected {
            "" if record["expect_product"].is_string() => {
                (row.products, row.products_right) = (1, u64::from(text("product") == text("expect_product")));
            }
            "prohibited" => (row.prohibited, row.prohibited_halves) = (1, halves(&["prohibited", "management-only"])),
            "remnant" | "exempt" | "suspect" => (row.others, row.others_halves) = (1, halves(&[expected])),
            "oem" | "embedded" => (row.others, row.others_halves) = (1, halves(&["embedded"])),
            "benign" | "lookalike" | "none" => {
                let is_clean = answer == "none" || (answer == "suspect" && notes(&["ambiguous"]));
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

    /// The sum of all rows.
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
        self.products += other.products;
        self.products_right += other.products_right;
    }

    /// The share of records with an expected product that were recognised as it, in percent.
    #[must_use]
    pub fn products_recall(&self) -> Option<f64> {
        share(self.products_right * 2, self.products)
    }

    /// The share of prohibited products that were recognised, in percent; `None` without such records.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        share(self.prohibited_halves, self.prohibited)
    }

    /// The same for remnants, exempt and embedded products.
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
    fn a_suspect_is_half_right_and_fully_right_on_a_weak_record() {
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
    fn an_answer_on_a_harmless_record_is_a_false_positive() {
        let score = scored(&[
            ("benign", "none", ""),
            ("lookalike", "suspect", ""),
            ("lookalike", "suspect", "ambiguous"),
            ("none", "exempt", ""),
        ]);
        assert_eq!((score.harmless, score.accused), (4, 2));
    }

    #[test]
    fn a_record_with_a_product_is_right_only_with_that_product() {
        let mut scores = Scores::default();
        for (expected, answer, note) in [("avg", "avg", ""), ("avg", "", ""), ("", "", ""), ("", "avg", "")] {
            let line = serde_json::json!({
                "platform": "windows", "source_kind": "service", "expect_product": expected, "product": answer,
                "match": "none", "note": note,
            });
            scores.add(&line.to_string());
        }
        scores.add(
            r#"{"platform":"linux","source_kind":"deb","expect_product":"avg","match":"none","note":"certainty: low"}"#,
        );
        assert_eq!((scores.total().products_recall(), scores.uncounted), (Some(50.0), 1));
    }

    #[test]
    fn lines_without_a_label_are_counted_apart() {
        let mut scores = Scores::default();
        scores.add("");
        scores.add("no JSON");
        scores.add(r#"{"platform":"linux","match":"none"}"#);
        assert_eq!((scores.uncounted, scores.rows.len()), (2, 0));
    }
}
