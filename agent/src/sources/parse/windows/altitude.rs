//! Altitudes of file-system filters, and the load-order groups that Microsoft assigns them to.

/// Groups with their lowest and highest altitude (learn.microsoft.com: load order groups and altitudes for minifilters).
const GROUPS: &[(u32, u32, &str)] = &[
    (420_000, 429_999, "Filter"),
    (400_000, 409_999, "FSFilter Top"),
    (360_000, 389_999, "FSFilter Activity Monitor"),
    (340_000, 349_999, "FSFilter Undelete"),
    (320_000, 329_999, "FSFilter Anti-Virus"),
    (300_000, 309_999, "FSFilter Replication"),
    (280_000, 289_999, "FSFilter Continuous Backup"),
    (260_000, 269_999, "FSFilter Content Screener"),
    (240_000, 249_999, "FSFilter Quota Management"),
    (220_000, 229_999, "FSFilter System Recovery"),
    (200_000, 209_999, "FSFilter Cluster File System"),
    (180_000, 189_999, "FSFilter HSM"),
    (170_000, 174_999, "FSFilter Imaging"),
    (160_000, 169_999, "FSFilter Compression"),
    (140_000, 149_999, "FSFilter Encryption"),
    (130_000, 139_999, "FSFilter Virtualization"),
    (120_000, 129_999, "FSFilter Physical Quota Management"),
    (100_000, 109_999, "FSFilter Open File"),
    (80_000, 89_999, "FSFilter Security Enhancer"),
    (60_000, 69_999, "FSFilter Copy Protection"),
    (40_000, 49_999, "FSFilter Bottom"),
    (20_000, 29_999, "FSFilter System"),
];

/// The group of an altitude. It is a number of any length, often with a fraction: `320820`, `389490.5`. `None` if it is no
/// number, or in no group.
#[must_use]
pub fn group(altitude: &str) -> Option<&'static str> {
    let (whole, fraction) = altitude.trim().split_once('.').unwrap_or((altitude.trim(), "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    GROUPS.iter().find(|(lowest, highest, _)| (*lowest..=*highest).contains(&whole)).map(|(.., group)| *group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_altitude_belongs_to_a_group_also_with_a_fraction() {
        assert_eq!(group("320400"), Some("FSFilter Anti-Virus"));
        assert_eq!(group("328010.5"), Some("FSFilter Anti-Virus"));
        assert_eq!(group(" 389490 "), Some("FSFilter Activity Monitor"));
        assert_eq!(group("145900.00001"), Some("FSFilter Encryption"));
        for none in ["", "x", "0", "310000", "320400.", "320400.x", "-320400", "99999999999999999999"] {
            assert_eq!(group(none), None, "{none}");
        }
        assert!(GROUPS.is_sorted_by(|one, next| one.0 > next.1), "groups do not overlap");
    }
}
