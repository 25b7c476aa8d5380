//! Reads lists of strings.

/// A list; in an environment variable, one string with commas.
pub(super) fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "expected a list of strings")]
    enum List {
        Items(Vec<String>),
        Text(String),
    }
    Ok(match serde::Deserialize::deserialize(deserializer)? {
        List::Items(items) => items,
        List::Text(text) => text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect(),
    })
}
