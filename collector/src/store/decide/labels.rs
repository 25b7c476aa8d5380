//! Labels of a host as statements return them.

use muster_proto::model::Label;

use crate::store::fault::{Step, StoreFault};

/// The labels in a text with blanks between them, in order.
///
/// # Errors
/// One of them is no label.
pub(in crate::store) fn read(text: &str) -> Step<Vec<Label>> {
    let label = |text: &str| Label::new(text).map_err(|error| StoreFault::damaged("a label", error.to_string()));
    let mut labels = text.split(' ').filter(|text| !text.is_empty()).map(label).collect::<Step<Vec<Label>>>()?;
    labels.sort_unstable();
    Ok(labels)
}
