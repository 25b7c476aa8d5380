//! Pure bytes to model: no file, no clock, no call of the system. Compiled and tested on every OS, and nothing here may
//! panic on any input.

pub mod dpkg;
pub mod elf;
pub mod network;
pub mod os_release;
pub mod paged;
pub mod rpm;
pub mod sqlite;
pub mod unit_file;
