//! Finds the name that somebody may have meant when they typed an unknown one.

/// How similar (Jaro-Winkler) a name has to be before it is suggested. Below that, suggestions mislead.
const SIMILAR: f64 = 0.8;

/// The most similar of the names, if one is similar enough.
#[must_use]
pub fn nearest<'n>(text: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(text, name), name))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

/// `; did you mean "NAME"?`, or nothing.
#[must_use]
pub fn did_you_mean<'n>(text: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest(text, names).map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_and_nonsense_finds_nothing() {
        let names = ["agents.listen", "operators.listen", "pace.next"];
        assert_eq!(nearest("agents.lisden", names), Some("agents.listen"));
        assert_eq!(did_you_mean("pace.nxt", names), "; did you mean \"pace.next\"?");
        assert_eq!(nearest("colour", names), None);
    }
}
