//! The text of a file as a stream of UTF-8 with one kind of line end.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read};

use super::encoding::{SNIFFED_BYTES, TextDecoder, TextEncoding, sniff};
use super::error::RosterFileError;
use super::limits::{Limits, RosterLimit};

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// Where the reading is. The text and those who read from it share it, because parsers hide the text from them.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Line ends that were handed out.
    lines: Cell<u64>,
    /// Bytes of text that were handed out.
    bytes: Cell<u64>,
    /// `bytes` where the row begins, and the line of it.
    row: Cell<(u64, u64)>,
    /// Whether the end of the text was handed out.
    ended: Cell<bool>,
    /// Why the text, or somebody within a parser, stopped.
    fault: RefCell<Option<RosterFileError>>,
}

impl Progress {
    /// The line of the next byte, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.lines.get() + 1
    }

    /// The line where the current row begins.
    pub(super) fn row_line(&self) -> u64 {
        self.row.get().1
    }

    /// Bytes of text that were handed out.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Whether the end of the text was handed out.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// A row begins in this line.
    pub(super) fn begin_row(&self, line: u64) {
        self.row.set((self.bytes.get(), line));
    }

    /// Keeps the reason to stop, which a parser would hide in an error of its own.
    pub(super) fn stop(&self, fault: RosterFileError) {
        self.fault.borrow_mut().get_or_insert(fault);
    }

    /// The reason to stop, if there is one.
    pub(super) fn take_fault(&self) -> Option<RosterFileError> {
        self.fault.take()
    }
}

/// A text that is decoded while it is read. Its `Read` gives UTF-8 with `\n` at line ends; an error of it is in [`Progress`].
pub(super) struct Text<'a, R> {
    source: R,
    decoder: TextDecoder,
    limits: &'a Limits,
    progress: &'a Progress,
    /// Bytes of the source that were read.
    bytes_read: u64,
    /// Bytes of the source that are not decoded yet.
    raw: Vec<u8>,
    /// Decoded text, of which `at` bytes were handed out.
    text: Vec<u8>,
    at: usize,
    /// Whether the last decoded character was `\r`.
    after_return: bool,
    /// Lines that are decoded.
    lines_decoded: u64,
    is_source_at_end: bool,
    /// What comes after the last byte of the source.
    end_mark: &'static str,
}

impl<'a, R: Read> Text<'a, R> {
    /// Reads the beginning and finds the encoding.
    pub(super) fn open(mut source: R, limits: &'a Limits, progress: &'a Progress) -> Result<Self, RosterFileError> {
        let mut raw = Vec::with_capacity(PIECE_BYTES);
        while raw.len() < SNIFFED_BYTES && read_piece(&mut source, SNIFFED_BYTES - raw.len(), &mut raw)? > 0 {}
        let (encoding, mark) = sniff(&raw).map_err(RosterFileError::OtherFormat)?;
        let bytes_read = raw.len() as u64;
        raw.drain(..mark);
        Ok(Self {
            source,
            decoder: TextDecoder::new(encoding),
            limits,
            progress,
            bytes_read,
            raw,
            text: Vec::new(),
            at: 0,
            after_return: false,
            lines_decoded: 0,
            is_source_at_end: false,
            end_mark: "",
        })
    }

    /// The encoding, as far as the text was read.
    pub(super) const fn encoding(&self) -> TextEncoding {
        self.decoder.encoding()
    }

    /// Bytes of the file that were read.
    pub(super) const fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Skips empty lines and spaces. A tab stays, because it can be an empty cell.
    pub(super) fn skip_blank(&mut self) -> Result<(), RosterFileError> {
        while let Some(b' ' | b'\n') = self.peek(1)?.first() {
            self.hand_out(1);
        }
        Ok(())
    }

    /// The first byte that is no white space. It stays in the text, and so does a tab before it.
    pub(super) fn first_visible(&mut self) -> Result<Option<u8>, RosterFileError> {
        self.skip_blank()?;
        Ok(self.peek(SNIFFED_BYTES)?.iter().find(|byte| !byte.is_ascii_whitespace()).copied())
    }

    /// The next bytes, which stay in the text: at least this many, unless the text ends before.
    pub(super) fn peek(&mut self, bytes: usize) -> Result<&[u8], RosterFileError> {
        while self.text.len() - self.at < bytes && self.fill()? {}
        Ok(self.text.get(self.at..).unwrap_or_default())
    }

    /// Skips this many bytes that were peeked.
    pub(super) fn hand_out(&mut self, bytes: usize) {
        let end = self.text.len().min(self.at + bytes);
        let handed = self.text.get(self.at..end).unwrap_or_default();
        let lines = handed.iter().filter(|byte| **byte == b'\n').count();
        self.progress.lines.set(self.progress.lines.get() + lines as u64);
        self.progress.bytes.set(self.progress.bytes.get() + handed.len() as u64);
        self.at = end;
    }

    /// Puts a text after the last byte.
    pub(super) fn end_with(&mut self, mark: &'static str) {
        self.end_mark = mark;
        // A short text may be decoded to its end already.
        if self.is_source_at_end {
            self.text.extend_from_slice(mark.as_bytes());
        }
    }

    /// Decodes the next piece; `false` at the end.
    fn fill(&mut self) -> Result<bool, RosterFileError> {
        if self.is_source_at_end {
            return Ok(false);
        }
        self.text.drain(..self.at);
        self.at = 0;
        let begin = self.text.len();
        // The beginning was read already.
        if self.raw.is_empty() {
            let bytes = read_piece(&mut self.source, PIECE_BYTES, &mut self.raw)?;
            self.bytes_read += bytes as u64;
            self.is_source_at_end = bytes == 0;
        }
        if self.bytes_read > self.limits.file_bytes {
            let limit = RosterLimit::FileBytes(self.limits.file_bytes);
            return Err(RosterFileError::Limit { limit, line: self.lines_decoded + 1 });
        }
        let mut decoded = Vec::new();
        let result = self.decoder.decode(&self.raw, self.is_source_at_end, &mut decoded);
        self.raw.clear();
        self.append(&decoded)?;
        let (encoding, line) = (self.decoder.encoding(), self.lines_decoded + 1);
        result.map_err(|_| RosterFileError::Encoding { encoding, line })?;
        if self.is_source_at_end {
            self.text.extend_from_slice(self.end_mark.as_bytes());
        }
        Ok(self.text.len() > begin || !self.is_source_at_end)
    }

    /// Appends decoded text. Files of Windows end lines with `\r\n`, and those of old Macs with `\r`.
    fn append(&mut self, decoded: &[u8]) -> Result<(), RosterFileError> {
        for byte in decoded {
            match byte {
                0 => return Err(RosterFileError::Nul { line: self.lines_decoded + 1 }),
                b'\n' if self.after_return => {}
                b'\r' | b'\n' => {
                    self.text.push(b'\n');
                    self.lines_decoded += 1;
                }
                byte => self.text.push(*byte),
            }
            self.after_return = *byte == b'\r';
        }
        Ok(())
    }

    /// An error of a limit, if the row is longer than it may be.
    fn row_limit(&self) -> Option<RosterFileError> {
        let (begin, line) = self.progress.row.get();
        let limit = RosterLimit::RowBytes(self.limits.row_bytes);
        (self.progress.bytes() - begin > self.limits.row_bytes).then_some(RosterFileError::Limit { limit, line })
    }
}

impl<R: Read> Read for Text<'_, R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let next = match self.row_limit() {
            Some(fault) => Err(fault),
            None => self.peek(1).map(<[u8]>::len),
        };
        let available = match next {
            Ok(available) => available,
            Err(fault) => {
                self.progress.stop(fault);
                return Err(io::Error::other("the text cannot be read further"));
            }
        };
        let bytes = available.min(space.len());
        let next = self.text.get(self.at..).unwrap_or_default();
        space.iter_mut().zip(next).for_each(|(to, from)| *to = *from);
        self.hand_out(bytes);
        if available == 0 || (self.is_source_at_end && self.at == self.text.len()) {
            self.progress.ended.set(true);
        }
        Ok(bytes)
    }
}

/// Reads at most this many bytes; 0 at the end.
fn read_piece(source: &mut impl Read, bytes: usize, raw: &mut Vec<u8>) -> Result<usize, RosterFileError> {
    let begin = raw.len();
    raw.resize(begin + bytes, 0);
    loop {
        match source.read(raw.get_mut(begin..).unwrap_or_default()) {
            Ok(read) => {
                raw.truncate(begin + read.min(bytes));
                return Ok(raw.len() - begin);
            }
            Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
            Err(fault) => return Err(RosterFileError::Read(fault)),
        }
    }
}
