//! Pure bytes to model: no file, no clock, no call of the system. Compiled and tested on every OS, and nothing here may
//! panic on any input.

pub mod apk;
pub mod certificate;
pub mod dpkg;
pub mod elf;
pub mod extension;
pub mod fdinfo;
pub mod key_file;
pub mod metainfo;
pub mod modules;
pub mod mounts;
pub mod network;
pub mod os_release;
pub mod pacman;
pub mod paged;
pub mod rpm;
pub mod signatures;
pub mod snap;
pub mod sqlite;
pub mod unit_file;
