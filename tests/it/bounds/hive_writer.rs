//! Writes hives of the registry for tests of the agent's memory. They are too large to be kept as files.

use std::path::Path;

use anyhow::{Context, Result};

const NOTHING: u32 = u32::MAX;

/// Writes a hive, key after key.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new() -> Self {
        let mut bins = b"hbin".to_vec();
        bins.resize(32, 0);
        Self(bins)
    }

    pub(super) fn length(&self) -> usize {
        self.0.len()
    }

    fn cell(&mut self, parts: &[&[u8]]) -> Result<u32> {
        let place = u32::try_from(self.0.len())?;
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let size = (4 + length).next_multiple_of(8);
        self.0.extend((-i32::try_from(size)?).to_le_bytes());
        parts.iter().for_each(|part| self.0.extend(*part));
        self.0.resize(place as usize + size, 0);
        Ok(place)
    }

    fn put(&mut self, place: u32, offset: usize, number: u32) {
        let at = place as usize + 4 + offset;
        self.0[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }

    /// Writes a key without children or values.
    pub(super) fn key(&mut self, name: &str, parent: u32) -> Result<u32> {
        let mut head = [0_u8; 76];
        head[..4].copy_from_slice(b"nk\x20\0");
        for (offset, number) in [(16, parent), (28, NOTHING), (40, NOTHING), (44, NOTHING), (48, NOTHING)] {
            head[offset..offset + 4].copy_from_slice(&number.to_le_bytes());
        }
        head[72] = u8::try_from(name.len())?;
        self.cell(&[&head, name.as_bytes()])
    }

    pub(super) fn set_children(&mut self, key: u32, children: &[u32]) -> Result<()> {
        let mut lists = Vec::new();
        for part in children.chunks(500) {
            let cells: Vec<u8> = part.iter().flat_map(|cell| cell.to_le_bytes()).collect();
            lists.extend(self.cell(&[b"li", &u16::try_from(part.len())?.to_le_bytes(), &cells])?.to_le_bytes());
        }
        let list = self.cell(&[b"ri", &u16::try_from(lists.len() / 4)?.to_le_bytes(), &lists])?;
        self.put(key, 20, u32::try_from(children.len())?);
        self.put(key, 28, list);
        Ok(())
    }

    pub(super) fn set_values(&mut self, key: u32, values: &[(&str, u32, &[u8])]) -> Result<()> {
        let mut list = Vec::new();
        for (name, kind, data) in values {
            let place = self.cell(&[data])?;
            let mut head = [0_u8; 20];
            head[..2].copy_from_slice(b"vk");
            head[2] = u8::try_from(name.len())?;
            head[4..8].copy_from_slice(&u32::try_from(data.len())?.to_le_bytes());
            head[8..12].copy_from_slice(&place.to_le_bytes());
            head[12..16].copy_from_slice(&kind.to_le_bytes());
            head[16] = 1;
            list.extend(self.cell(&[&head, name.as_bytes()])?.to_le_bytes());
        }
        let list = self.cell(&[&list])?;
        self.put(key, 36, u32::try_from(values.len())?);
        self.put(key, 40, list);
        Ok(())
    }

    /// Writes keys below each other, and returns the last.
    pub(super) fn path(&mut self, names: &[&str], parent: u32) -> Result<(u32, u32)> {
        let first = self.key(names[0], parent)?;
        let mut last = first;
        for name in &names[1..] {
            let child = self.key(name, last)?;
            self.set_children(last, &[child])?;
            last = child;
        }
        Ok((first, last))
    }

    pub(super) fn write(mut self, root: u32, path: &Path) -> Result<()> {
        let used = self.0.len();
        let size = (used + 8).next_multiple_of(4096);
        self.0.extend(i32::try_from(size - used)?.to_le_bytes());
        self.0.resize(size, 0);
        let size = u32::try_from(size)?;
        self.0[8..12].copy_from_slice(&size.to_le_bytes());
        let mut head = vec![0_u8; 4096];
        head[..4].copy_from_slice(b"regf");
        for (offset, number) in [(4, 1), (8, 1), (20, 1), (24, 5), (32, 1), (36, root), (40, size)] {
            head[offset..offset + 4].copy_from_slice(&number.to_le_bytes());
        }
        let words = head[..508].as_chunks::<4>().0;
        let sum = words.iter().fold(0, |sum, word| sum ^ u32::from_le_bytes(*word));
        head[508..512].copy_from_slice(&sum.to_le_bytes());
        head.append(&mut self.0);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(std::fs::write(path, head)?)
    }
}

pub(super) fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}
