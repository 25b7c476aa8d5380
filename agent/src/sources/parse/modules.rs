//! Kernel modules: `/proc/modules`, names of module files, and lists of modules to load.

/// A loaded module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The name.
    pub name: String,
    /// Whether it was built out of tree or is proprietary: the kernel's taint flags `O` and `P`.
    pub foreign: bool,
}

/// Parses `/proc/modules`: name, size, use count, users, state, address, and taint flags in brackets if there are any.
///
/// # Errors
/// The number of the first invalid line, from 1.
pub fn loaded(text: &str) -> Result<Vec<Loaded>, usize> {
    let line = |(number, line): (usize, &str)| {
        let mut fields = line.split(' ');
        let name = fields.next().filter(|name| !name.is_empty()).ok_or(number + 1)?;
        fields.next().and_then(|size| size.parse::<u64>().ok()).ok_or(number + 1)?;
        let marks = fields.next_back().and_then(|last| last.strip_prefix('(')?.strip_suffix(')')).unwrap_or_default();
        Ok(Loaded { name: name.to_owned(), foreign: marks.contains(['O', 'P']) })
    };
    text.lines().enumerate().map(line).collect()
}

/// The module name of a file: `falcon_lsm` for `falcon-lsm.ko.xz`.
#[must_use]
pub fn of_file(file: &str) -> Option<String> {
    let plain = [".xz", ".gz", ".zst"].iter().find_map(|packed| file.strip_suffix(packed)).unwrap_or(file);
    let name = plain.strip_suffix(".ko").filter(|name| !name.is_empty())?;
    // The kernel itself writes module names with underscores only.
    Some(name.replace('-', "_"))
}

/// The modules that a file in `modules-load.d` lists.
pub fn listed(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    lines.filter_map(|line| line.split_whitespace().next()).map(|name| name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn out_of_tree_modules_are_marked() {
        let text = "falcon_lsm_serviceable 724992 1 - Live 0x0000000000000000 (PE)\nnf_tables 1 2 a,b, Live 0x0\nx 5 0 - Live 0x0 (OE)\ny 5 0 - Live 0x0 (E)\n";
        let modules = loaded(text).expect("the kernel's");
        let foreign: Vec<&str> = modules.iter().filter(|m| m.foreign).map(|m| m.name.as_str()).collect();
        assert_eq!((modules.len(), foreign), (4, vec!["falcon_lsm_serviceable", "x"]));
        assert_eq!(loaded("a 1 0 - Live 0x0\ngarbage\n"), Err(2));
    }

    #[test]
    fn files_and_lists_name_modules() {
        assert_eq!(of_file("falcon-lsm.ko.xz").as_deref(), Some("falcon_lsm"));
        assert_eq!(of_file("modules.dep"), None);
        assert_eq!(listed("# no\nfuse\n drbd-x opt=1\n;no\n").collect::<Vec<_>>(), ["fuse", "drbd_x"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = (loaded(&text), of_file(&text), listed(&text).count());
        }
    }
}
