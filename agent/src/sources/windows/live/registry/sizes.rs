//! How much a key of the running registry has, asked before anything of it is read: memory is reserved for what is there, and
//! everybody may write large values into their own part of the registry.

use std::ptr::{null, null_mut};

use windows_registry::Key;
use windows_sys::Win32::System::Registry::RegQueryInfoKeyW;

use crate::sources::parse::hive::bounds;
use crate::sources::registry::RegistryError;

/// What a key has, by numbers and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sizes {
    keys: u32,
    values: u32,
    /// Bytes of its largest value.
    value: u32,
}

/// Checks that the keys below a key may be listed.
///
/// # Errors
/// There are more than the reader of hives lists, or Windows does not say how many.
pub(super) fn check_keys(path: &str, key: &Key) -> Result<(), RegistryError> {
    let keys = sizes(path, key)?.keys as usize;
    if keys <= bounds::KEYS {
        return Ok(());
    }
    Err(RegistryError::broken(path, format!("it has {keys} keys, more than {}", bounds::KEYS)))
}

/// Checks that the values of a key may be read.
///
/// # Errors
/// There are more, or one is larger, than the reader of hives reads, or Windows does not say.
pub(super) fn check_values(path: &str, key: &Key) -> Result<(), RegistryError> {
    let Sizes { values, value, .. } = sizes(path, key)?;
    if values as usize > bounds::VALUES {
        return Err(RegistryError::broken(path, format!("it has {values} values, more than {}", bounds::VALUES)));
    }
    if value as usize > bounds::VALUE_BYTES {
        let reason = format!("one of its values has {value} bytes, more than {}", bounds::VALUE_BYTES);
        return Err(RegistryError::broken(path, reason));
    }
    Ok(())
}

#[expect(unsafe_code, reason = "the registry of Windows says how large it is only so")]
fn sizes(path: &str, key: &Key) -> Result<Sizes, RegistryError> {
    let mut sizes = Sizes::default();
    // SAFETY: the key is open, the three numbers outlive the call, and a null pointer means that the answer is not wanted.
    // <https://learn.microsoft.com/windows/win32/api/winreg/nf-winreg-regqueryinfokeyw>
    let code = unsafe {
        RegQueryInfoKeyW(
            key.as_raw(),
            null_mut(),
            null_mut(),
            null(),
            &raw mut sizes.keys,
            null_mut(),
            null_mut(),
            &raw mut sizes.values,
            null_mut(),
            &raw mut sizes.value,
            null_mut(),
            null_mut(),
        )
    };
    if code == 0 { Ok(sizes) } else { Err(super::of_windows(path, code.cast_signed())) }
}
