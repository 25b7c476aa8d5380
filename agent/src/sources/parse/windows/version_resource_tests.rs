//! Tests of the version resource, and the builder of the small programs that they read.

use proptest::prelude::*;

use super::*;

fn block(key: &str, value: &[u8], is_text: bool, children: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; 6];
    bytes.extend(key.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(value);
    for child in children {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(child);
    }
    let length = u16::try_from(bytes.len()).expect("short");
    let value = u16::try_from(if is_text { value.len() / 2 } else { value.len() }).expect("short");
    bytes[..2].copy_from_slice(&length.to_le_bytes());
    bytes[2..4].copy_from_slice(&value.to_le_bytes());
    bytes[4..6].copy_from_slice(&u16::from(is_text).to_le_bytes());
    bytes
}

/// A version resource with these texts.
pub(crate) fn resource(version: [u16; 4], texts: &[(&str, &str)]) -> Vec<u8> {
    let pair = |high: u16, low: u16| (u32::from(high) << 16 | u32::from(low)).to_le_bytes();
    let mut fixed = 0xfeef_04bd_u32.to_le_bytes().to_vec();
    fixed.extend([0, 0, 1, 0]);
    for _ in 0..2 {
        fixed.extend(pair(version[0], version[1]));
        fixed.extend(pair(version[2], version[3]));
    }
    fixed.resize(52, 0);
    let text = |(key, text): &(&str, &str)| {
        let value: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        block(key, &value, true, &[])
    };
    let table = block("040904b0", &[], true, &texts.iter().map(text).collect::<Vec<_>>());
    let strings = block("StringFileInfo", &[], true, &[table]);
    block("VS_VERSION_INFO", &fixed, false, &[block("VarFileInfo", &[], true, &[]), strings])
}

/// A program of 64 bits that consists of a version resource.
pub(crate) fn program(version: [u16; 4], texts: &[(&str, &str)]) -> Vec<u8> {
    let resource = resource(version, texts);
    let mut bytes = vec![0; 0x200];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[60] = 0x40;
    bytes[0x40..0x44].copy_from_slice(b"PE\0\0");
    bytes[0x46] = 1;
    bytes[0x54] = 240;
    bytes[0x58..0x5a].copy_from_slice(&0x20b_u16.to_le_bytes());
    bytes[0x58 + 112 + 16..0x58 + 112 + 20].copy_from_slice(&0x1000_u32.to_le_bytes());
    let section = 0x58 + 240;
    for (at, value) in [(12, 0x1000_u32), (16, 0x2000), (20, 0x200)] {
        bytes[section + at..section + at + 4].copy_from_slice(&value.to_le_bytes());
    }
    // Types, names and languages, each with one entry, and the place of the data.
    for (id, target) in [(VERSION, 0x8000_0018_u32), (1, 0x8000_0030), (0x409, 0x48)] {
        bytes.extend([0; 14]);
        bytes.extend([1, 0]);
        bytes.extend(id.to_le_bytes());
        bytes.extend(target.to_le_bytes());
    }
    let length = u32::try_from(resource.len()).expect("short");
    bytes.extend([0x1058_u32, length, 0, 0].into_iter().flat_map(u32::to_le_bytes));
    bytes.extend(resource);
    bytes
}

#[test]
fn version_and_company_of_a_program_are_read() {
    let texts = [("CompanyName", "AO Kaspersky Lab"), ("FileVersion", "21, 25, 7, 504"), ("ProductName", "Kaspersky")];
    let bytes = program([21, 25, 7, 504], &texts);
    let info = read(&bytes).expect("readable").expect("a resource");
    assert_eq!((info.file_version.as_str(), info.company.as_str()), ("21.25.7.504", "AO Kaspersky Lab"));
    assert_eq!((info.product.as_str(), info.product_version.as_str()), ("Kaspersky", "21.25.7.504"));
    let without = read(&program([0; 4], &[("FileVersion", " 12.3 beta ")])).expect("readable").expect("a resource");
    assert_eq!(without.file_version, "12.3 beta");
}

#[test]
fn a_file_that_is_no_program_has_no_version() {
    assert_eq!(read(&b"MZ".to_vec()), Ok(None));
    assert_eq!(read(&vec![b'x'; 500]), Ok(None));
    let mut dos = vec![0; 500];
    dos[..2].copy_from_slice(b"MZ");
    assert_eq!(read(&dos), Ok(None));
}

#[test]
fn a_cut_program_is_a_fault_or_has_less_and_never_panics() {
    let bytes = program([1, 2, 3, 4], &[("CompanyName", "Kaspersky")]);
    let whole = read(&bytes).expect("readable");
    for cut in 0..bytes.len() {
        assert!(read(&bytes[..cut].to_vec()) != Ok(whole.clone()), "cut at {cut}");
    }
}

#[test]
fn a_resource_of_many_texts_and_of_length_zero_ends() {
    let many: Vec<(String, String)> = (0..2000).map(|n| (format!("k{n}"), "x".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
    let bytes = std::panic::catch_unwind(|| resource([1; 4], &many[..1000]));
    assert!(bytes.is_ok_and(|bytes| parse(&bytes).file_version == "1.1.1.1"));
    assert_eq!(parse(&[0; 4096]), VersionInfo::default());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..700, value in any::<u8>()) {
        let _ = (read(&bytes), parse(&bytes));
        let mut changed = program([1, 2, 3, 4], &[("CompanyName", "Kaspersky")]);
        let at = at % changed.len();
        changed[at] = value;
        let _ = read(&changed);
    }
}
