//! The id of a start of macOS, as the kernel writes it.

use crate::os::uuid;

/// The id of this start: `kern.bootsessionuuid` (`sysctl(8)`), a UUID with a zero at its end that the kernel makes anew at every
/// start. `None` if the answer is none.
#[must_use]
pub fn id(answer: &[u8]) -> Option<String> {
    uuid::of(str::from_utf8(answer.split(|byte| *byte == 0).next()?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_named_by_the_uuid_of_the_kernel() {
        let text = "5C3A1F0E-9B7D-4E21-8A6F-0123456789AB";
        for end in ["\0", "\0rest of the buffer", ""] {
            assert_eq!(id(format!("{text}{end}").as_bytes()), Some(text.to_lowercase()), "{end:?}");
        }
        for none in [&b""[..], b"\0", b"12345\0", &[0xff; 37]] {
            assert_eq!(id(none), None, "{none:?}");
        }
    }
}
