//! Reads the fields of canonical bytes one after another, and refuses every spelling that is not canonical.

use super::NotCanonical;
use crate::model::{Digest, is_clean_text};

pub(super) const fn limit(
    field: &'static str,
    value: usize,
    limit_name: &'static str,
    limit: usize,
) -> Result<(), NotCanonical> {
    if value > limit { Err(NotCanonical::Limit { field, value, limit_name, limit }) } else { Ok(()) }
}

/// Text that was checked before.
#[expect(unsafe_code, reason = "a section is read three times; checking UTF-8 once is enough")]
fn trusted_text(bytes: &[u8]) -> &str {
    debug_assert!(std::str::from_utf8(bytes).is_ok(), "the text was checked before");
    // SAFETY: `Reader::trusted` is only called for the bytes of a `CanonicalSection`. They are immutable, and were either
    // written from `str`s or checked by a reader that takes the same steps and so finds the same text boundaries.
    unsafe { std::str::from_utf8_unchecked(bytes) }
}

/// Bytes and the position of the next field.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether order and texts are checked.
    checks: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], magic: &[u8], what: &'static str) -> Result<Self, NotCanonical> {
        if bytes.starts_with(magic) {
            Ok(Self { bytes, at: magic.len(), checks: true })
        } else {
            Err(NotCanonical::Magic(what))
        }
    }

    /// Reads bytes that were checked before, without checking order and texts again.
    pub(super) fn trusted(bytes: &'a [u8], magic: &[u8]) -> Result<Self, NotCanonical> {
        Ok(Self { checks: false, ..Self::new(bytes, magic, "section")? })
    }

    /// Reads bytes that have no magic bytes in front.
    pub(super) const fn over(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, checks: true }
    }

    /// Whether order and texts are checked.
    pub(super) const fn checks(&self) -> bool {
        self.checks
    }

    /// Offset of the next byte.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The bytes from an offset to the next byte.
    pub(super) fn since(&self, at: usize) -> &'a [u8] {
        &self.bytes[at..self.at]
    }

    pub(super) const fn rest(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn byte(&mut self, field: &'static str) -> Result<u8, NotCanonical> {
        let byte = *self.bytes.get(self.at).ok_or(NotCanonical::Truncated { field, at: self.at })?;
        self.at += 1;
        Ok(byte)
    }

    pub(super) fn member<T>(
        &mut self,
        field: &'static str,
        from_code: impl Fn(u8) -> Option<T>,
    ) -> Result<T, NotCanonical> {
        let at = self.at;
        let code = self.byte(field)?;
        from_code(code).ok_or(NotCanonical::Value { field, at, value: u64::from(code) })
    }

    #[inline]
    pub(super) fn varint(&mut self, field: &'static str) -> Result<u64, NotCanonical> {
        // Nearly every number is below 128.
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(field),
        }
    }

    fn long_varint(&mut self, field: &'static str) -> Result<u64, NotCanonical> {
        let at = self.at;
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(field)?;
            let low = u64::from(byte & 0x7f);
            // The tenth byte has one bit left. A last byte of zero is a longer spelling of a shorter number.
            if (shift == 63 && low > 1) || (byte == 0 && shift > 0) {
                return Err(NotCanonical::Value { field, at, value: low });
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        // The tenth byte promises another one, but 64 bits need ten at most.
        Err(NotCanonical::Value { field, at, value })
    }

    #[inline]
    pub(super) fn count(
        &mut self,
        field: &'static str,
        limit_name: &'static str,
        max: usize,
    ) -> Result<usize, NotCanonical> {
        // A number too large for this machine becomes the largest one, which the limit refuses.
        let count = usize::try_from(self.varint(field)?).unwrap_or(usize::MAX);
        limit(field, count, limit_name, max)?;
        Ok(count)
    }

    /// Text, without a copy.
    #[inline]
    pub(super) fn text(
        &mut self,
        field: &'static str,
        limit_name: &'static str,
        max: usize,
    ) -> Result<&'a str, NotCanonical> {
        let at = self.at;
        let length = self.count(field, limit_name, max)?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(NotCanonical::Truncated { field, at })?;
        let bytes = &self.bytes[self.at..end];
        self.at = end;
        if !self.checks {
            return Ok(trusted_text(bytes));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| NotCanonical::Text { field, at })?;
        if is_clean_text(text) { Ok(text) } else { Err(NotCanonical::Text { field, at }) }
    }

    pub(super) fn digest(&mut self) -> Result<Digest, NotCanonical> {
        let at = self.at;
        let bytes = self.bytes.get(at..at + 32).ok_or(NotCanonical::Truncated { field: "digest", at })?;
        self.at += 32;
        Digest::try_from(bytes).map_err(|_| NotCanonical::Truncated { field: "digest", at })
    }

    pub(super) const fn end(&self) -> Result<(), NotCanonical> {
        if self.rest() == 0 { Ok(()) } else { Err(NotCanonical::Trailing(self.rest())) }
    }
}
