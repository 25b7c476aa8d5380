//! Systems without packages: the image is the only one. System extensions (systemd-sysext) are what is laid over it.

use muster_proto::model::{Kind, Observation, ReportedState};

use crate::sources::ScanContext;
use crate::sources::reading_builder::ReadingBuilder;

/// Where extensions are, without `/run`, whose content does not outlive a restart.
const EXTENSIONS: &[&str] = &["/etc/extensions", "/var/lib/extensions"];
/// systemd shows the release file of every merged extension here.
const MERGED: &str = "/usr/lib/extension-release.d";

pub(super) fn read(context: &ScanContext, builder: &mut ReadingBuilder) {
    let Ok(os) = &context.os else { return };
    let version = ["VERSION_ID", "IMAGE_VERSION", "BUILD_ID"].into_iter().map(|name| os.field(name));
    let Some(version) = version.into_iter().find(|version| !version.is_empty()) else {
        return builder.problem(format!("os-release has no version of the system image (ID={})", os.field("ID")));
    };
    builder.places_found += 1;
    let mut image = Observation::new(Kind::Package, os.field("ID"));
    image.version = version.to_owned();
    image.attributes.insert("store".to_owned(), "image".to_owned());
    builder.add("/etc/os-release", image);
    for folder in EXTENSIONS {
        match context.root.broken_link_above(&format!("{folder}/")) {
            Ok(None) => {}
            Ok(Some(link)) => builder.problem(format!("cannot read {folder}: {link}")),
            Err(error) => builder.access_failed(folder, &error),
        }
        for entry in builder.list(context, folder).unwrap_or_default() {
            extension(context, folder, &entry.name, builder);
        }
    }
}

fn extension(context: &ScanContext, folder: &str, file: &str, builder: &mut ReadingBuilder) {
    let name = file.strip_suffix(".raw").unwrap_or(file);
    if builder.is_full(folder) || name.is_empty() || name.starts_with('.') {
        return;
    }
    let path = format!("{folder}/{file}");
    let mut extension = Observation::new(Kind::Package, name);
    extension.path.clone_from(&path);
    extension.attributes.insert("store".to_owned(), "sysext".to_owned());
    let release = format!("{MERGED}/extension-release.{name}");
    if !matches!(context.root.kind_at(&release), Ok(Some(_))) {
        extension.set_state(ReportedState::NotMerged);
        builder.problem(format!(
            "system extension {path} is not merged into /usr, so its files were not read; scan the running system, or \
             delete the extension"
        ));
    }
    builder.add(folder, extension);
}
