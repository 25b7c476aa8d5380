//! Formats that a list of machines is often in, and that are not read.

/// A format that is recognised and not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OtherFormat {
    /// A ZIP archive, which a workbook of Excel is too.
    #[error("an Excel workbook or a ZIP archive")]
    Zip,
    /// A workbook of Excel before 2007.
    #[error("an Excel workbook (.xls)")]
    Xls,
    /// Compressed with gzip.
    #[error("compressed with gzip")]
    Gzip,
    /// A PDF.
    #[error("a PDF")]
    Pdf,
    /// Text in UTF-32.
    #[error("text in UTF-32")]
    Utf32,
    /// XML or HTML.
    #[error("XML or HTML")]
    Markup,
    /// LDIF, what `ldifde` writes (RFC 2849).
    #[error("LDIF")]
    Ldif,
    /// Something else that is not text.
    #[error("a binary file")]
    Binary,
}

impl OtherFormat {
    /// What to do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Zip => "save the workbook as CSV UTF-8, or unpack the archive",
            Self::Xls | Self::Utf32 => "save it as CSV UTF-8",
            Self::Gzip => "unpack it",
            Self::Ldif => "export with csvde in place of ldifde, or with Get-ADComputer and Export-Csv",
            Self::Pdf | Self::Markup | Self::Binary => "export the list as CSV or JSON",
        }
    }
}
