//! Finds the name that somebody may have meant when they typed an unknown one.

/// The most similar of the names, if at most a third of its characters have to change. Other suggestions mislead.
#[must_use]
pub fn nearest<'n>(text: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(text, name), name))
        .filter(|(distance, name)| distance * 3 <= text.chars().count().min(name.chars().count()))
        .min_by_key(|(distance, _)| *distance)
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
        assert_eq!(nearest("agents.colour", ["agents.connections", "agents.listen"]), None);
        assert_eq!(nearest("agetns.listen", names), Some("agents.listen"), "swapped letters are one slip");
    }
}
