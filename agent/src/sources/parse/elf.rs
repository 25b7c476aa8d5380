//! The architecture of an ELF file, from its first twenty bytes.

/// The architecture in the kernel's spelling (`x86_64`, `aarch64`, …); `None` if it is not an ELF header of a known machine.
#[must_use]
pub fn architecture(head: &[u8]) -> Option<&'static str> {
    let head: &[u8; 20] = head.get(..20)?.try_into().ok()?;
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let (class, order) = (head[4], head[5]);
    let machine = [head[18], head[19]];
    let machine = if order == 2 { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) };
    Some(match (machine, class, order) {
        (3, ..) => "i686",
        (62, ..) => "x86_64",
        (183, ..) => "aarch64",
        (40, ..) => "armv7l",
        (243, 2, _) => "riscv64",
        (22, 2, _) => "s390x",
        (21, _, 1) => "ppc64le",
        (21, ..) => "ppc64",
        (258, ..) => "loongarch64",
        (8, 2, 1) => "mips64el",
        _ => return None,
    })
}

/// The kernel's spelling of a Debian architecture.
#[must_use]
pub fn from_debian(name: &str) -> &str {
    match name {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "i386" => "i686",
        "armhf" => "armv7l",
        "ppc64el" => "ppc64le",
        "loong64" => "loongarch64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_in_the_byte_order_of_the_file() {
        let mut head = [0_u8; 20];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18] = 62;
        assert_eq!(architecture(&head), Some("x86_64"));
        head[5] = 2;
        (head[18], head[19]) = (0, 22);
        assert_eq!(architecture(&head), Some("s390x"));
        assert_eq!(architecture(&head[..19]), None);
        assert_eq!(architecture(b"#!/bin/sh and some more bytes"), None);
    }
}
