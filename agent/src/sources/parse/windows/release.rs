//! The name and version of Windows by its build number. The names that Windows stores are wrong: Windows 11 calls itself 10.

/// What a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// `Windows 11`, `Windows Server 2022`.
    pub name: &'static str,
    /// `24H2`; empty where there is only one.
    pub version: &'static str,
}

/// First build of each client release, newest first.
const CLIENTS: &[(u32, &str, &str)] = &[
    (26_200, "Windows 11", "25H2"),
    (26_100, "Windows 11", "24H2"),
    (22_631, "Windows 11", "23H2"),
    (22_621, "Windows 11", "22H2"),
    (22_000, "Windows 11", "21H2"),
    (19_045, "Windows 10", "22H2"),
    (19_044, "Windows 10", "21H2"),
    (19_043, "Windows 10", "21H1"),
    (19_042, "Windows 10", "20H2"),
    (19_041, "Windows 10", "2004"),
    (18_363, "Windows 10", "1909"),
    (18_362, "Windows 10", "1903"),
    (17_763, "Windows 10", "1809"),
    (17_134, "Windows 10", "1803"),
    (16_299, "Windows 10", "1709"),
    (15_063, "Windows 10", "1703"),
    (14_393, "Windows 10", "1607"),
    (10_586, "Windows 10", "1511"),
    (10_240, "Windows 10", "1507"),
    (9_600, "Windows 8.1", ""),
    (9_200, "Windows 8", ""),
    (7_600, "Windows 7", ""),
    (6_000, "Windows Vista", ""),
    (2_600, "Windows XP", ""),
    (2_195, "Windows 2000", ""),
];

/// First build of each server release, newest first.
const SERVERS: &[(u32, &str, &str)] = &[
    (26_100, "Windows Server 2025", ""),
    (25_398, "Windows Server", "23H2"),
    (20_348, "Windows Server 2022", ""),
    (19_042, "Windows Server", "20H2"),
    (19_041, "Windows Server", "2004"),
    (18_363, "Windows Server", "1909"),
    (18_362, "Windows Server", "1903"),
    (17_763, "Windows Server 2019", ""),
    (17_134, "Windows Server", "1803"),
    (16_299, "Windows Server", "1709"),
    (14_393, "Windows Server 2016", ""),
    (9_600, "Windows Server 2012 R2", ""),
    (9_200, "Windows Server 2012", ""),
    (7_600, "Windows Server 2008 R2", ""),
    (6_001, "Windows Server 2008", ""),
    (3_790, "Windows Server 2003", ""),
    (2_195, "Windows 2000 Server", ""),
];

/// The release of a build; a build between two releases counts as the earlier one. `None` if it is older than all of them.
#[must_use]
pub fn release(build: u32, is_server: bool) -> Option<Release> {
    let releases = if is_server { SERVERS } else { CLIENTS };
    let known = releases.iter().find(|(first, ..)| *first <= build);
    known.map(|(_, name, version)| Release { name, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_decides_the_name() {
        let name = |build, server| release(build, server).map(|it| format!("{} {}", it.name, it.version));
        assert_eq!(name(22_631, false).as_deref(), Some("Windows 11 23H2"));
        assert_eq!(name(22_000, false).as_deref(), Some("Windows 11 21H2"));
        assert_eq!(name(21_999, false).as_deref(), Some("Windows 10 22H2"));
        assert_eq!(name(20_348, true).as_deref(), Some("Windows Server 2022 "));
        assert_eq!(name(7_601, false).as_deref(), Some("Windows 7 "));
        assert_eq!(name(100, true), None);
        for releases in [CLIENTS, SERVERS] {
            assert!(releases.is_sorted_by(|one, next| one.0 > next.0));
        }
    }
}
