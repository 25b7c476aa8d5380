//! Berkeley DB hash databases of either byte order and any page size, as rpm wrote them until 2020.
//!
//! The first page has the number of buckets. Each bucket is a chain of pages with keys and values in turn. Large values are
//! in chains of overflow pages. A page of zeros is an unused bucket. Key 0 is rpm's counter.

use super::Packages;
use crate::sources::parse::paged::{Lazy, PagedFault, Storage, read as read_bytes};

const HASH_MAGIC: u32 = 0x0006_1561;
const META_BYTES: usize = 512;
const PAGE_HEAD: usize = 26;
const HASH_META: u8 = 8;
const HASH_UNSORTED: u8 = 2;
const HASH_SORTED: u8 = 13;
const OVERFLOW: u8 = 7;
const ON_PAGE: u8 = 1;
const OFF_PAGE: u8 = 3;

struct Hash<'a> {
    storage: &'a dyn Storage,
    big: bool,
    page_bytes: usize,
    last_page: u32,
    buckets: u32,
    elements: u32,
    spares: [u32; 32],
}

pub(super) fn read(storage: &dyn Storage, found: &mut Packages) -> Result<(), PagedFault> {
    let hash = Hash::open(storage)?;
    let mut visited = vec![false; hash.last_page as usize + 1];
    let mut elements = 0;
    for bucket in 0..hash.buckets {
        if let Err(fault) = hash.bucket(bucket, &mut visited, &mut elements, found) {
            found.keep(fault);
        }
    }
    if elements < hash.elements {
        found.keep(PagedFault::at("meta page", "the element count is larger than the number of elements"));
    }
    Ok(())
}

impl<'a> Hash<'a> {
    fn open(storage: &'a dyn Storage) -> Result<Self, PagedFault> {
        let meta = read_bytes(storage, 0, META_BYTES, || "meta page".to_owned())?;
        let fault = |what| Err(PagedFault::at("meta page", what));
        // The database has the byte order of the machine that wrote it.
        let big = match (number(&meta, 12, false), number(&meta, 12, true)) {
            (HASH_MAGIC, _) => false,
            (_, HASH_MAGIC) => true,
            _ => return fault("not a Berkeley DB hash database"),
        };
        let page_bytes = number(&meta, 20, big) as usize;
        if meta[25] != HASH_META || !page_bytes.is_power_of_two() || !(512..=65_536).contains(&page_bytes) {
            return fault("invalid page type or page size");
        }
        if meta[24] != 0 || meta[26] & 1 != 0 {
            return fault("encryption and checksums are not supported");
        }
        let last_page = number(&meta, 32, big);
        if (u64::from(last_page) + 1) * page_bytes as u64 > storage.size() {
            return fault("the file is shorter than the page count");
        }
        // The field has the number of the highest bucket, and they count from 0.
        let buckets = number(&meta, 72, big).saturating_add(1);
        if buckets > last_page {
            return fault("more buckets than pages");
        }
        let mut spares = [0; 32];
        spares.iter_mut().enumerate().for_each(|(at, spare)| *spare = number(&meta, 96 + at * 4, big));
        Ok(Self { storage, big, page_bytes, last_page, buckets, elements: number(&meta, 88, big), spares })
    }

    fn page(&self, number: u32) -> Result<Vec<u8>, PagedFault> {
        if number == 0 || number > self.last_page {
            return Err(PagedFault::at(format!("page {number}"), "not in the database"));
        }
        read_bytes(self.storage, u64::from(number) * self.page_bytes as u64, self.page_bytes, || {
            format!("page {number}")
        })
    }

    fn bucket(
        &self,
        bucket: u32,
        visited: &mut [bool],
        elements: &mut u32,
        found: &mut Packages,
    ) -> Result<(), PagedFault> {
        // The hash table grew by doubling. Each doubling was preceded by some overflow pages, which `spares` counts.
        let doubling = (32 - bucket.leading_zeros()) as usize;
        let spare = self.spares.get(doubling).copied().unwrap_or_default();
        let mut page_number = bucket.checked_add(spare).unwrap_or_default();
        while page_number != 0 {
            let page = self.page(page_number)?;
            let fault = |what| PagedFault::at(format!("page {page_number}"), what);
            if std::mem::replace(&mut visited[page_number as usize], true) {
                return Err(fault("linked twice"));
            }
            // Berkeley DB allocates the pages of a doubling at once, and leaves those without keys empty.
            if page.iter().all(|byte| *byte == 0) {
                return Ok(());
            }
            if !matches!(page[25], HASH_SORTED | HASH_UNSORTED) || number(&page, 8, self.big) != page_number {
                return Err(fault("not a bucket page"));
            }
            let items = usize::from(short(&page, 20, self.big));
            if items % 2 != 0 || PAGE_HEAD + items * 2 > self.page_bytes {
                return Err(fault("more items than fit"));
            }
            for pair in 0..items / 2 {
                *elements += 1;
                self.pair(page_number, &page, pair, found);
            }
            page_number = number(&page, 16, self.big);
        }
        Ok(())
    }

    fn pair(&self, page_number: u32, page: &[u8], pair: usize, found: &mut Packages) {
        let key = match self.item(page_number, page, pair * 2) {
            Ok([ON_PAGE, key @ ..]) => key,
            Ok(_) => return found.keep(PagedFault::at(format!("page {page_number}"), "unsupported key type")),
            Err(fault) => return found.keep(fault),
        };
        if key == [0; 4] {
            return;
        }
        let name = format!("page {page_number}, element {pair}");
        let value = self.item(page_number, page, pair * 2 + 1).and_then(|item| self.value(item, name));
        found.add(value);
    }

    fn value<'s>(&'s self, item: &[u8], name: String) -> Result<Lazy<'s>, PagedFault> {
        match item {
            [ON_PAGE, value @ ..] => {
                let end = name.clone();
                let fetch = move |_: &mut Vec<u8>| Err(PagedFault::at(end.as_str(), "the value is too short"));
                Ok(Lazy::new(name, value.len(), value.to_vec(), Box::new(fetch)))
            }
            [OFF_PAGE, ..] if item.len() == 12 => {
                let mut next = number(item, 4, self.big);
                let length = number(item, 8, self.big) as usize;
                // The value is fetched only as far as needed, so a wrong length would go unnoticed.
                if length as u64 > self.storage.size() {
                    return Err(PagedFault::at(name, "longer than the database"));
                }
                let fetch = move |have: &mut Vec<u8>| {
                    let page = self.page(next)?;
                    let held = usize::from(short(&page, 22, self.big));
                    if page[25] != OVERFLOW || PAGE_HEAD + held > page.len() {
                        return Err(PagedFault::at(format!("page {next}"), "not an overflow page"));
                    }
                    have.extend_from_slice(&page[PAGE_HEAD..PAGE_HEAD + held]);
                    next = number(&page, 16, self.big);
                    Ok(())
                };
                Ok(Lazy::new(name, length, Vec::new(), Box::new(fetch)))
            }
            _ => Err(PagedFault::at(name, "unsupported value type")),
        }
    }

    /// An item of a page. Items are stored from the end of the page downwards, so each ends where the previous one begins.
    fn item<'p>(&self, page_number: u32, page: &'p [u8], at: usize) -> Result<&'p [u8], PagedFault> {
        let offset = |at: usize| usize::from(short(page, PAGE_HEAD + at * 2, self.big));
        // Only the start of each item is stored.
        let end = if at == 0 { page.len() } else { offset(at - 1) };
        let item = page.get(offset(at)..end).filter(|item| !item.is_empty() && offset(at) >= PAGE_HEAD);
        item.ok_or_else(|| PagedFault::at(format!("page {page_number}"), "an item is outside of the page"))
    }
}

fn number(bytes: &[u8], place: usize, big: bool) -> u32 {
    use crate::sources::parse::paged::{be32, le32};
    if big { be32(bytes, place) } else { le32(bytes, place) }
}

fn short(bytes: &[u8], place: usize, big: bool) -> u16 {
    match bytes.get(place..place + 2) {
        Some(&[one, two]) if big => u16::from_be_bytes([one, two]),
        Some(&[one, two]) => u16::from_le_bytes([one, two]),
        _ => 0,
    }
}
