//! The version resource of a program: its version, company and product. Reads only the headers and the resource, by offset.

use super::text::utf16;
use crate::sources::parse::paged::{self, PagedFault, Storage};

/// Limits of what is read. A program has some ten sections, a directory of resources some thousand entries, and a version
/// resource 4 KiB.
const SECTIONS: u16 = 96;
const ENTRIES: u32 = 4096;
const RESOURCE_BYTES: u32 = 64 * 1024;
/// Limit of texts in a resource.
const TEXTS: usize = 256;
/// Limit of one text.
const TEXT_BYTES: usize = 1024;
/// The type of version resources.
const VERSION: u32 = 16;

/// What the resource says; texts are empty where it does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionInfo {
    /// The version of the file: four numbers, or as the text says if the numbers are zero.
    pub file_version: String,
    /// The version of the product, in the same way.
    pub product_version: String,
    /// `CompanyName`. Anybody can write anything here.
    pub company: String,
    /// `ProductName`.
    pub product: String,
    /// `OriginalFilename`.
    pub original_name: String,
}

/// Reads the version resource of a program; `None` if the file is no program, or has none.
///
/// # Errors
/// The file is damaged, or cannot be read.
pub fn read(storage: &dyn Storage) -> Result<Option<VersionInfo>, PagedFault> {
    let Some(program) = Program::open(storage)? else { return Ok(None) };
    let Some((at, length)) = program.version_resource()? else { return Ok(None) };
    let bytes = paged::read(storage, at, length, || "version resource".to_owned())?;
    Ok(Some(parse(&bytes)))
}

/// Parses the bytes of a version resource. What is damaged is left out.
#[must_use]
pub fn parse(bytes: &[u8]) -> VersionInfo {
    let mut found = VersionInfo::default();
    let (mut file, mut product) = (String::new(), String::new());
    let Some((root, _)) = Block::at(bytes) else { return found };
    if let Some([first, second]) = fixed(root.value) {
        (file, product) = (first, second);
    }
    let mut left = TEXTS;
    for table in root.children().filter(|block| block.key == "StringFileInfo").flat_map(|info| info.children()) {
        for text in table.children() {
            let Some(next) = left.checked_sub(1) else { break };
            left = next;
            let field = match text.key.as_str() {
                "CompanyName" => &mut found.company,
                "ProductName" => &mut found.product,
                "OriginalFilename" => &mut found.original_name,
                "FileVersion" => &mut found.file_version,
                "ProductVersion" => &mut found.product_version,
                _ => continue,
            };
            // The first language that has a text wins.
            if field.is_empty() {
                *field = utf16(&text.value[..text.value.len().min(TEXT_BYTES)]).trim().to_owned();
            }
        }
    }
    // The numbers are one form for all programs. Texts are localised, and some have words.
    for (field, numbers) in [(&mut found.file_version, file), (&mut found.product_version, product)] {
        if !numbers.is_empty() {
            *field = numbers;
        }
    }
    found
}

/// File and product version of the fixed part, in numbers; empty where they are zero.
fn fixed(value: &[u8]) -> Option<[String; 2]> {
    let word = |at: usize| Some(u32::from_le_bytes(value.get(at..at + 4)?.try_into().ok()?));
    if word(0)? != 0xfeef_04bd {
        return None;
    }
    let version = |high: u32, low: u32| match (high, low) {
        (0, 0) => String::new(),
        _ => format!("{}.{}.{}.{}", high >> 16, high & 0xffff, low >> 16, low & 0xffff),
    };
    Some([version(word(8)?, word(12)?), version(word(16)?, word(20)?)])
}

/// A block of a version resource: a key, a value, and blocks below it.
struct Block<'b> {
    key: String,
    value: &'b [u8],
    rest: &'b [u8],
}

impl<'b> Block<'b> {
    /// The block at the start of the bytes, and the bytes behind it.
    fn at(bytes: &'b [u8]) -> Option<(Self, &'b [u8])> {
        let word = |at: usize| Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
        let (length, value_length, is_text) = (word(0)?, word(2)?, word(4)? == 1);
        let block = bytes.get(..length.min(bytes.len()))?;
        let key = block.get(6..)?;
        let key_units = key.chunks_exact(2).position(|unit| unit == [0, 0])?;
        let start = aligned(6 + 2 * (key_units + 1));
        // The length of a text is in characters, though some compilers write it in bytes.
        let value_length = if is_text { value_length * 2 } else { value_length };
        let end = (start + value_length).min(block.len());
        let value = block.get(start..end).unwrap_or_default();
        let rest = block.get(aligned(end)..).unwrap_or_default();
        let behind = bytes.get(aligned(length.max(6))..).unwrap_or_default();
        Some((Self { key: utf16(&key[..2 * key_units]), value, rest }, behind))
    }

    fn children(&self) -> impl Iterator<Item = Block<'b>> + use<'b> {
        let mut rest = self.rest;
        std::iter::from_fn(move || {
            let (block, behind) = Self::at(rest)?;
            // Each step goes forward, so a length of zero ends nothing in a loop.
            rest = behind;
            Some(block)
        })
    }
}

const fn aligned(at: usize) -> usize {
    at.next_multiple_of(4)
}

/// The headers of a program.
struct Program<'s> {
    storage: &'s dyn Storage,
    sections: Vec<Section>,
    /// Where the directory of resources begins, in memory.
    resources: u32,
}

struct Section {
    memory: u32,
    size: u32,
    file: u32,
}

impl<'s> Program<'s> {
    fn open(storage: &'s dyn Storage) -> Result<Option<Self>, PagedFault> {
        if storage.size() < 64 {
            return Ok(None);
        }
        let header = paged::read(storage, 0, 64, || "header".to_owned())?;
        if !header.starts_with(b"MZ") {
            return Ok(None);
        }
        let start = u64::from(u32_at(&header, 60));
        let named = || "header of the program".to_owned();
        // A program of DOS has the first header only.
        if start.saturating_add(24) > storage.size() {
            return Ok(None);
        }
        let head = paged::read(storage, start, 24, named)?;
        if !head.starts_with(b"PE\0\0") {
            return Ok(None);
        }
        let (sections, optional) = (u16_at(&head, 6), u16_at(&head, 20));
        if sections > SECTIONS {
            return Err(PagedFault::at("header of the program", "too many sections"));
        }
        let table = paged::read(storage, start + 24, usize::from(optional), named)?;
        let directories = match (table.len() >= 2).then(|| u16_at(&table, 0)) {
            Some(0x10b) => 96,
            Some(0x20b) => 112,
            _ => return Err(PagedFault::at("header of the program", "unknown kind of program")),
        };
        // The third directory is that of resources.
        let resources = if table.len() >= directories + 24 { u32_at(&table, directories + 16) } else { 0 };
        let sections_at = start + 24 + u64::from(optional);
        let bytes = paged::read(storage, sections_at, 40 * usize::from(sections), || "sections".to_owned())?;
        let section = |row: &[u8]| Section {
            memory: u32_at(row, 12),
            // Either size can be the smaller one: files are padded, and memory can be larger than the file.
            size: u32_at(row, 16),
            file: u32_at(row, 20),
        };
        Ok(Some(Self { storage, sections: bytes.chunks_exact(40).map(section).collect(), resources }))
    }

    /// Where an address of memory is in the file.
    fn place(&self, address: u32) -> Result<u64, PagedFault> {
        let of = |section: &Section| {
            let within = address.checked_sub(section.memory)?;
            (within < section.size).then(|| u64::from(section.file) + u64::from(within))
        };
        self.sections.iter().find_map(of).ok_or_else(|| PagedFault::at("resources", "an address outside the file"))
    }

    /// Offset and length of the version resource. Three levels lead to it: type, name, language.
    fn version_resource(&self) -> Result<Option<(u64, usize)>, PagedFault> {
        if self.resources == 0 {
            return Ok(None);
        }
        let start = self.place(self.resources)?;
        let Some(names) = self.entry(start, 0, Some(VERSION))? else { return Ok(None) };
        let Some(languages) = self.entry(start, names & 0x7fff_ffff, None)? else { return Ok(None) };
        let Some(data) = self.entry(start, languages & 0x7fff_ffff, None)? else { return Ok(None) };
        let data = paged::read(self.storage, start + u64::from(data & 0x7fff_ffff), 16, || "resources".to_owned())?;
        let (address, size) = (u32_at(&data, 0), u32_at(&data, 4));
        if size > RESOURCE_BYTES {
            return Err(PagedFault::at("version resource", "too long"));
        }
        Ok(Some((self.place(address)?, usize::try_from(size).unwrap_or(0))))
    }

    /// The entry of a directory with this id, or the first one. The directory is at an offset from the start of the resources.
    fn entry(&self, start: u64, offset: u32, id: Option<u32>) -> Result<Option<u32>, PagedFault> {
        let named = || "directory of resources".to_owned();
        let at = start + u64::from(offset);
        let head = paged::read(self.storage, at, 16, named)?;
        let count = u32::from(u16_at(&head, 12)) + u32::from(u16_at(&head, 14));
        let wanted = if id.is_some() { count } else { count.min(1) };
        if wanted > ENTRIES {
            return Err(PagedFault::at("directory of resources", "too many entries"));
        }
        let rows = paged::read(self.storage, at + 16, 8 * usize::try_from(wanted).unwrap_or(0), named)?;
        let mut rows = rows.chunks_exact(8).map(|row| (u32_at(row, 0), u32_at(row, 4)));
        Ok(rows.find(|(key, _)| id.is_none_or(|id| id == *key)).map(|(_, target)| target))
    }
}

/// A number in bytes that were read with at least this length.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map_or(0, u16::from_le_bytes)
}

#[cfg(test)]
#[path = "version_resource_tests.rs"]
pub(crate) mod tests;
