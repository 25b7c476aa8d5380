//! What several tests of the process need.

use std::path::Path;

use crate::config::{Flags, Settings};

/// The settings of a collector whose files are in this folder, with an empty settings file.
pub(super) fn settings_in(folder: &Path) -> Settings {
    let config = folder.join("collector.toml");
    std::fs::write(&config, "").expect("written");
    let data_dir = Some(folder.join("data").display().to_string());
    let flags = Flags { config: Some(config), data_dir, ..Flags::default() };
    Settings::load(&flags, Vec::new()).expect("valid")
}
