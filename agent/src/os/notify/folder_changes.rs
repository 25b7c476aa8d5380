//! The list of changes that Windows writes for a watched folder (`FILE_NOTIFY_INFORMATION`). Pure: bytes to names.
//!
//! Source: <https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-file_notify_information>.

/// Offset of the next change, what happened, and bytes of the name.
const HEAD: usize = 12;

/// The names of the changed entries, each once in a row; with `\` for an entry of a subfolder. `None` if the list is broken.
pub(super) fn names(bytes: &[u8]) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = bytes;
    loop {
        let number = |at: usize| -> Option<usize> {
            let four = rest.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(four)).ok()
        };
        let (next, length) = (number(0)?, number(8)?);
        let name = rest.get(HEAD..HEAD.checked_add(length)?)?;
        let units: Vec<u16> = name.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
        let name = String::from_utf16_lossy(&units);
        // A file that is written has several changes in a row.
        if names.last() != Some(&name) {
            names.push(name);
        }
        if next == 0 {
            return Some(names);
        }
        // An offset into the change itself would never end.
        if next < HEAD {
            return None;
        }
        rest = rest.get(next..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, is_last: bool) -> Vec<u8> {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let whole = (HEAD + name.len()).next_multiple_of(4);
        let next = if is_last { 0 } else { u32::try_from(whole).expect("short") };
        let length = u32::try_from(name.len()).expect("short");
        let mut bytes = [next.to_le_bytes(), 3_u32.to_le_bytes(), length.to_le_bytes()].concat();
        bytes.extend(name);
        bytes.resize(whole, 0);
        bytes
    }

    #[test]
    fn every_changed_name_is_listed_once_in_a_row() {
        let bytes =
            [change("Лаборатория", false), change("Лаборатория", false), change(r"a\b", false), change("c", true)];
        assert_eq!(names(&bytes.concat()), Some(vec!["Лаборатория".to_owned(), r"a\b".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn a_broken_list_is_none() {
        let whole = change("name", true);
        for length in 0..HEAD + 8 {
            assert_eq!(names(&whole[..length]), None, "{length}");
        }
        for next in [1_u32, 8, 11, 4000, u32::MAX] {
            let mut bytes = change("name", false);
            bytes[..4].copy_from_slice(&next.to_le_bytes());
            assert_eq!(names(&bytes), None, "{next}");
        }
    }
}
