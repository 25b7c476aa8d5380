//! The folder of a fleet: its model, keys and certificates. Files are only appended to, so an interrupted run resumes where it
//! stopped; an incomplete last line is dropped. The folder has real keys, so only its owner may read it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fleet::Model;

const MODEL: &str = "fleet.json";
const KEYS: &str = "keys.ndjson";
const HOSTS: &str = "hosts.ndjson";
const TRUST: &str = "trust.json";

/// The folder of a fleet, or none.
#[derive(Debug)]
pub(crate) struct Folder {
    path: Option<PathBuf>,
}

/// The key of a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeptKey {
    /// Number of the host in the fleet.
    pub(crate) index: u64,
    /// PKCS#8 in DER.
    #[serde(with = "base64")]
    pub(crate) key: Vec<u8>,
}

/// An enrolled host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeptHost {
    /// Number of the host in the fleet.
    pub(crate) index: u64,
    /// Its host id.
    pub(crate) host: String,
    /// DER.
    #[serde(with = "base64")]
    pub(crate) certificate: Vec<u8>,
}

/// The collector of a fleet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeptTrust {
    /// Certificates of its CAs, DER in base64.
    pub(crate) ca_certificates: Vec<String>,
}

impl Folder {
    /// Opens the folder. Refuses a folder with another model, because a fleet cannot become another one.
    pub(crate) fn open(path: Option<&Path>, model: &Model) -> Result<Self> {
        let folder = Self { path: path.map(Path::to_owned) };
        let Some(path) = path else { return Ok(folder) };
        std::fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
        match folder.read_json::<Model>(MODEL)? {
            Some(kept) => ensure!(
                kept == *model,
                "{} has another fleet (seed {}, {:?}); use its options or another folder",
                path.display(),
                kept.seed,
                kept.profile
            ),
            None => folder.write_json(MODEL, model)?,
        }
        Ok(folder)
    }

    /// All keys by host.
    pub(crate) fn keys(&self) -> Result<BTreeMap<u64, Vec<u8>>> {
        Ok(self.lines::<KeptKey>(KEYS)?.into_iter().map(|kept| (kept.index, kept.key)).collect())
    }

    /// Adds keys.
    pub(crate) fn add_keys(&self, keys: &[KeptKey]) -> Result<()> {
        self.append(KEYS, keys)
    }

    /// All enrolled hosts.
    pub(crate) fn hosts(&self) -> Result<BTreeMap<u64, KeptHost>> {
        Ok(self.lines::<KeptHost>(HOSTS)?.into_iter().map(|kept| (kept.index, kept)).collect())
    }

    /// Adds enrolled hosts.
    pub(crate) fn add_hosts(&self, hosts: &[KeptHost]) -> Result<()> {
        self.append(HOSTS, hosts)
    }

    /// The CAs of the collector that enrolled the fleet.
    pub(crate) fn trust(&self) -> Result<Option<Vec<Vec<u8>>>> {
        let Some(kept) = self.read_json::<KeptTrust>(TRUST)? else { return Ok(None) };
        let decode = |text: &String| BASE64.decode(text.as_bytes()).context("read a certificate of the trust bundle");
        kept.ca_certificates.iter().map(decode).collect::<Result<_>>().map(Some)
    }

    /// Stores the CAs.
    pub(crate) fn keep_trust(&self, certificates: &[Vec<u8>]) -> Result<()> {
        let ca_certificates = certificates.iter().map(|der| BASE64.encode(der)).collect();
        self.write_json(TRUST, &KeptTrust { ca_certificates })
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let Some(path) = self.path.as_ref().map(|path| path.join(name)) else { return Ok(None) };
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("parse {}", path.display())).map(Some)
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        let Some(path) = self.path.as_ref().map(|path| path.join(name)) else { return Ok(()) };
        muster_tests::lab::write_owner_only(&path, &serde_json::to_string_pretty(value)?)
    }

    fn lines<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>> {
        let Some(path) = self.path.as_ref().map(|path| path.join(name)) else { return Ok(Vec::new()) };
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            // Cut the file, too: otherwise the next append would continue the broken line.
            let file = File::options().write(true).open(&path).with_context(|| format!("open {}", path.display()))?;
            file.set_len(whole as u64).with_context(|| format!("cut the last line of {}", path.display()))?;
        }
        let numbered = (1..).zip(text[..whole].lines());
        numbered
            .map(|(number, line)| {
                serde_json::from_str(line).with_context(|| format!("parse line {number} of {}", path.display()))
            })
            .collect()
    }

    fn append<T: Serialize>(&self, name: &str, values: &[T]) -> Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let Some(path) = self.path.as_ref().map(|path| path.join(name)) else { return Ok(()) };
        let file = File::options().create(true).append(true).mode(0o600).open(&path);
        let mut file = BufWriter::new(file.with_context(|| format!("open {}", path.display()))?);
        for value in values {
            serde_json::to_writer(&mut file, value).with_context(|| format!("write {}", path.display()))?;
            file.write_all(b"\n").with_context(|| format!("write {}", path.display()))?;
        }
        file.flush().with_context(|| format!("write {}", path.display()))
    }
}

/// Bytes as text in JSON.
mod base64 {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&BASE64.encode_display(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64.decode(String::deserialize(deserializer)?.as_bytes()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Profile, Shares};

    fn model(seed: u64) -> Model {
        Model { seed, profile: Profile::Images, shares: Shares::default() }
    }

    #[test]
    fn keys_and_hosts_come_back_also_after_a_line_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Folder::open(Some(folder.path()), &model(1)).unwrap();
        kept.add_keys(&[KeptKey { index: 0, key: vec![1, 2, 3] }, KeptKey { index: 1, key: vec![4] }]).unwrap();
        let path = folder.path().join(KEYS);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 4]).unwrap();
        let kept = Folder::open(Some(folder.path()), &model(1)).unwrap();
        assert_eq!(kept.keys().unwrap(), BTreeMap::from([(0, vec![1, 2, 3])]));
        kept.add_keys(&[KeptKey { index: 1, key: vec![5] }]).unwrap();
        assert_eq!(kept.keys().unwrap(), BTreeMap::from([(0, vec![1, 2, 3]), (1, vec![5])]));
    }

    #[test]
    fn a_folder_is_not_taken_for_another_fleet() {
        let folder = tempfile::tempdir().unwrap();
        Folder::open(Some(folder.path()), &model(1)).unwrap();
        let refused = format!("{:#}", Folder::open(Some(folder.path()), &model(2)).unwrap_err());
        assert!(refused.contains("has another fleet (seed 1"), "{refused}");
    }

    #[test]
    fn nobody_else_may_read_the_keys() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let kept = Folder::open(Some(folder.path()), &model(1)).unwrap();
        kept.add_keys(&[KeptKey { index: 0, key: vec![1] }]).unwrap();
        let mode = std::fs::metadata(folder.path().join(KEYS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
