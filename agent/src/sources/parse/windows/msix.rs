//! The full name of an MSIX or Store package: `Name_Version_Architecture_Resource_Publisher`.

/// The parts of a full name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullName<'t> {
    /// The name of the package.
    pub name: &'t str,
    /// Four numbers.
    pub version: &'t str,
    /// `x64`, `x86`, `arm64`, `neutral`.
    pub architecture: &'t str,
    /// The language or scale of a resource package; usually empty.
    pub resource: &'t str,
    /// A hash of the publisher's name. It names nobody.
    pub publisher: &'t str,
}

/// Splits a full name; `None` if it is not one.
#[must_use]
pub fn split(full_name: &str) -> Option<FullName<'_>> {
    let parts: Vec<&str> = full_name.split('_').collect();
    let [name, version, architecture, resource, publisher] = parts.as_slice() else { return None };
    let is_version =
        version.split('.').count() == 4 && version.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
    let is_hash = publisher.len() == 13 && publisher.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (!name.is_empty() && is_version && is_hash).then_some(FullName { name, version, architecture, resource, publisher })
}

/// The folder of a package, from the path of its manifest: `…\AppxManifest.xml`, of a bundle
/// `…\AppxMetadata\AppxBundleManifest.xml`. `None` if the path names no manifest.
#[must_use]
pub fn folder_of_manifest(path: &str) -> Option<&str> {
    let path = path.trim().trim_matches('"');
    let (above, file) = path.rsplit_once(['\\', '/'])?;
    if !file.to_ascii_lowercase().ends_with("manifest.xml") {
        return None;
    }
    let folder = match above.rsplit_once(['\\', '/']) {
        Some((folder, last)) if last.eq_ignore_ascii_case("AppxMetadata") => folder,
        _ => above,
    };
    (!folder.is_empty()).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_of_a_package_or_of_a_bundle_is_in_its_folder() {
        for (manifest, folder) in [
            (
                r"C:\Program Files\WindowsApps\A_1.0.0.0_x64__8wekyb3d8bbwe\AppxManifest.xml",
                Some(r"C:\Program Files\WindowsApps\A_1.0.0.0_x64__8wekyb3d8bbwe"),
            ),
            (r"C:\Windows\SystemApps\A_cw5n1h2txyewy\Appxmanifest.xml", Some(r"C:\Windows\SystemApps\A_cw5n1h2txyewy")),
            (r"D:\WindowsApps\B\AppxMetadata\AppxBundleManifest.xml", Some(r"D:\WindowsApps\B")),
            (r"D:\WindowsApps\B", None),
            (r"\AppxManifest.xml", None),
            ("AppxManifest.xml", None),
            ("", None),
        ] {
            assert_eq!(folder_of_manifest(manifest), folder, "{manifest}");
        }
    }

    #[test]
    fn a_full_name_has_five_parts() {
        let name = split("KasperskyLab.KasperskyVPN_1.2.3.0_x64__8jx5e25qw3tdc").expect("a full name");
        assert_eq!((name.name, name.version, name.architecture), ("KasperskyLab.KasperskyVPN", "1.2.3.0", "x64"));
        assert_eq!((name.resource, name.publisher), ("", "8jx5e25qw3tdc"));
        let resource = split("Microsoft.WindowsStore_12.0.1.0_neutral_split.language-de_8wekyb3d8bbwe");
        assert_eq!(resource.map(|name| name.resource), Some("split.language-de"));
        for other in ["", "Deleted", "a_b", "Name_1.2_x64__8jx5e25qw3tdc", "_1.2.3.0_x64__8jx5e25qw3tdc", "a_b_c_d_e_f"]
        {
            assert_eq!(split(other), None, "{other}");
        }
    }
}
