//! Pure parsers from bytes to the model: no files, no clock, no system calls. They are compiled and tested on every OS, and
//! no input may make them panic.

pub mod apk;
pub mod certificate;
pub mod cgroup;
pub mod dpkg;
pub mod elf;
pub mod extension;
pub mod extension_settings;
pub mod fdinfo;
pub mod hive;
pub mod inventory;
mod json;
pub mod key_file;
pub mod mac;
pub mod macos;
pub mod metainfo;
pub mod modules;
pub mod mounts;
pub mod network;
pub mod os_release;
pub mod package_entry;
pub mod pacman;
pub mod paged;
pub mod plist;
pub mod registry_value;
pub mod rpm;
pub mod signatures;
pub mod smbios;
pub mod snap;
mod space;
pub mod sqlite;
pub mod unit_file;
pub mod windows;
pub mod xbps;
