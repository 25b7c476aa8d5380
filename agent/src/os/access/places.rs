//! Which files and folders must be safe so that settings or a program are.

use std::path::Path;
#[cfg(any(windows, test))]
use std::{ffi::OsStr, io};

use super::AccessError;

/// Checks the folder of a settings file, the file, the directory beside it, and the settings files in that. `check` accepts what
/// does not exist. The directory is listed once it is safe, because nobody else can make it endless then.
#[cfg(any(windows, test))]
pub(super) fn check_settings(
    file: &Path,
    mut check: impl FnMut(&Path) -> Result<(), AccessError>,
) -> Result<(), AccessError> {
    let unknown = |path: &Path, source| AccessError::Unknown { path: path.to_owned(), source };
    let file = std::path::absolute(file).map_err(|source| unknown(file, source))?;
    let more = file.with_extension("d");
    file.parent().map_or(Ok(()), &mut check)?;
    check(&file)?;
    check(&more)?;
    let entries = match std::fs::read_dir(&more) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(source) => return Err(unknown(&more, source)),
    };
    for entry in entries {
        let path = entry.map_err(|source| unknown(&more, source))?.path();
        // Other files there are not read.
        if path.extension() == Some(OsStr::new("toml")) {
            check(&path)?;
        }
    }
    Ok(())
}

/// Checks the folder that a program is in, the program, and each folder above, which may be the top of a volume.
pub(super) fn check_program(
    program: &Path,
    mut check: impl FnMut(&Path) -> Result<(), AccessError>,
    mut check_above: impl FnMut(&Path, bool) -> Result<(), AccessError>,
) -> Result<(), AccessError> {
    program.parent().map_or(Ok(()), &mut check)?;
    check(program)?;
    program.ancestors().skip(2).try_for_each(|folder| check_above(folder, folder.parent().is_none()))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn settings_are_the_file_and_what_is_read_beside_it_with_their_folders() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (file, more) = (dir.path().join("agent.toml"), dir.path().join("agent.d"));
        let checked = |unsafe_one: Option<&Path>| {
            let mut asked: Vec<PathBuf> = Vec::new();
            let result = check_settings(&file, |path| {
                asked.push(path.to_owned());
                let refused = AccessError::Unknown { path: path.to_owned(), source: io::ErrorKind::Other.into() };
                if unsafe_one == Some(path) { Err(refused) } else { Ok(()) }
            });
            // The directory is listed in any order.
            let own = 3.min(asked.len());
            asked[own..].sort();
            (asked, result.is_ok())
        };
        let own = vec![dir.path().to_owned(), file.clone(), more.clone()];
        assert_eq!(checked(None), (own.clone(), true), "they may appear");
        std::fs::create_dir(&more).expect("made");
        for name in ["20.toml", "10.toml", "10.toml.old", "README"] {
            std::fs::write(more.join(name), "").expect("written");
        }
        let all = [own.clone(), vec![more.join("10.toml"), more.join("20.toml")]].concat();
        assert_eq!(checked(None), (all.clone(), true));
        for one in &all {
            let (asked, is_safe) = checked(Some(one));
            assert!(!is_safe && asked.contains(one), "{}", one.display());
        }
        assert_eq!(checked(Some(&more)), (own, false), "a folder of others is not listed");
    }

    #[test]
    fn a_program_is_checked_with_its_folder_and_all_folders_above() {
        let program = std::path::absolute(Path::new("/a/b/c/program")).expect("absolute");
        let asked = RefCell::new(Vec::new());
        let note = |path: &Path, how| asked.borrow_mut().push((path.to_owned(), how));
        let above = |path: &Path, is_top| {
            note(path, if is_top { "top" } else { "above" });
            Ok(())
        };
        let check = |path: &Path| {
            note(path, "closed");
            Ok(())
        };
        check_program(&program, check, above).expect("safe");
        let at = |count: usize| program.ancestors().nth(count).expect("a folder").to_owned();
        let expected = [(1, "closed"), (0, "closed"), (2, "above"), (3, "above"), (4, "top")];
        assert_eq!(asked.into_inner(), expected.map(|(count, how)| (at(count), how)));
    }
}
