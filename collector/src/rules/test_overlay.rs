//! A rule directory for tests.

/// A temporary directory with these files, each with its folder: `("vendors/acme.toml", text)`.
pub(crate) fn overlay<T: AsRef<str>>(files: &[(&str, T)]) -> tempfile::TempDir {
    let overlay = tempfile::tempdir().expect("a directory");
    for (place, text) in files {
        let path = overlay.path().join(place);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text.as_ref()).expect("written");
    }
    overlay
}
