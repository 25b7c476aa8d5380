//! Product codes of the Windows Installer. Registry keys spell one code in several forms, and each of them names the product:
//!
//! ```text
//!  …\Uninstall\{7911E943-32CC-45D0-A29C-56E6EF762275}            the code
//!  …\Uninstall\InstallWIX_{7911E943-32CC-45D0-A29C-56E6EF762275} a prefix of the installer before it
//!  …\Installer\…\Products\349E1197CC230D542AC9656EFE672257       packed: each group is reversed
//! ```

/// Digits of the groups of a code.
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// Whether there may be a code in the folded form of this text. Folding is slow, and most texts have none.
pub(super) fn may_be_in(text: &str) -> bool {
    // Folding makes braces and digits of other characters, too.
    !text.is_ascii()
        || text.contains('{')
        || text
            .split(['/', '\\'])
            .any(|part| is_packed(part.trim_matches(|c: char| c == '"' || c.is_ascii_whitespace())))
}

/// The code in a folded registry key or name, as it is spelled there: with braces, or packed.
pub(super) fn code_in(text: &str) -> Option<&str> {
    let is_of_the_installer = !text.contains('/') || text.contains("/uninstall/") || text.contains("/installer/");
    if !is_of_the_installer {
        return None;
    }
    text.split('/').find_map(|part| with_braces(part).or_else(|| Some(part).filter(|part| is_packed(part))))
}

/// The packed form of a code with braces, in lower case.
pub(super) fn packed(code: &str) -> Option<String> {
    let groups: Vec<&str> = with_braces(code)?.trim_matches(['{', '}']).split('-').collect();
    let mut packed = String::with_capacity(32);
    for (at, group) in groups.iter().enumerate() {
        // The first three groups are numbers and are reversed as a whole, the others byte by byte.
        let step = if at < 3 { group.len() } else { 2 };
        for from in (0..group.len()).step_by(step) {
            packed.extend(group.get(from..from + step)?.chars().rev());
        }
    }
    Some(packed.to_ascii_lowercase())
}

fn with_braces(text: &str) -> Option<&str> {
    let code = text.get(text.find('{')?..)?;
    let code = code.get(..=code.find('}')?)?;
    let mut groups = code.trim_matches(['{', '}']).split('-');
    let are_right = GROUPS.iter().all(|digits| groups.next().is_some_and(|group| is_hex(group, *digits)));
    (are_right && groups.next().is_none()).then_some(code)
}

fn is_packed(text: &str) -> bool {
    is_hex(text, GROUPS.iter().sum())
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_every_form() {
        let code = "{7911e943-32cc-45d0-a29c-56e6ef762275}";
        let uninstall = format!("hklm/software/microsoft/windows/currentversion/uninstall/installwix_{code}");
        assert_eq!(code_in(&uninstall), Some(code));
        assert_eq!(code_in(code), Some(code));
        let packed = packed(code).expect("a code");
        assert_eq!(packed, "349e1197cc230d542ac9656efe672257");
        let record =
            format!("hklm/software/microsoft/windows/currentversion/installer/userdata/s-1-5-18/products/{packed}");
        assert_eq!(code_in(&format!("{record}/installproperties")), Some(packed.as_str()));
    }

    #[test]
    fn texts_without_a_code_need_no_folding() {
        for text in [
            "{7911E943-32CC",
            "Products\\349E1197CC230D542AC9656EFE672257\\x",
            "\"349E1197CC230D542AC9656EFE672257\" ",
            "｛",
        ] {
            assert!(may_be_in(text), "{text}");
        }
        for text in ["", "Kaspersky Plus", "C:\\Program Files\\349E1197CC230D542AC9656EFE67225"] {
            assert!(!may_be_in(text), "{text}");
        }
    }

    #[test]
    fn ids_of_other_things_are_no_codes() {
        assert_eq!(code_in("hklm/software/classes/clsid/{7911e943-32cc-45d0-a29c-56e6ef762275}"), None);
        assert_eq!(code_in("{7911e943-32cc-45d0-a29c}"), None);
        assert_eq!(packed("kesl"), None);
    }
}
