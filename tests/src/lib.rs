//! The test kit: collectors and agents as real processes, canned machines to look at, and hostile certificates.
