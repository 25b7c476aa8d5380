//! The host state is read at exactly the places that the catalogue claims. A place that only one side knows would be read for
//! nothing, or would leave the age of a product's signatures unknown for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::sources::windows::defender::STATUS;
use crate::sources::windows::state::{realtime, signatures};

/// Places that this agent does not read, each with the reason.
const NOT_READ: &[(&str, &str)] = &[(
    r"{Bitdefender Scan Server}\Antivirus_N_N\Plugins\update.txt",
    "no public source says where the folder is stored, and the file has no date",
)];

/// The Windows places of the catalogue's tables `freshness` and `realtime`, without those of Security Center and of processes.
fn claimed(table: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../collector/rules/catalogue");
    let mut places = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the catalogue") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("readable");
        let product: toml::Table = toml::from_str(&text).expect("TOML");
        let rows = product.get(table).and_then(toml::Value::as_array).cloned().unwrap_or_default();
        for row in rows.iter().filter(|row| row.get("platform").and_then(toml::Value::as_str) == Some("windows")) {
            match row.get("place") {
                Some(toml::Value::String(place)) => drop(places.insert(place.clone())),
                Some(toml::Value::Array(list)) => {
                    places.extend(list.iter().filter_map(toml::Value::as_str).map(str::to_owned));
                }
                _ => {}
            }
        }
    }
    // What Security Center says is in its section, and every watched process is evidence.
    places.retain(|place| !place.starts_with("~wsc:") && !place.starts_with("~(process|fanotify):"));
    places
}

fn difference(claimed: &BTreeSet<String>, read: BTreeSet<&str>) -> (Vec<String>, Vec<String>) {
    let not_read: BTreeMap<&str, &str> = NOT_READ.iter().copied().collect();
    let missing =
        claimed.iter().filter(|place| !read.contains(place.as_str()) && !not_read.contains_key(place.as_str()));
    let unclaimed = read.iter().filter(|place| !claimed.contains(**place)).map(|place| (*place).to_owned());
    (missing.cloned().collect(), unclaimed.collect())
}

#[test]
fn signatures_are_read_at_every_place_of_the_catalogue_and_nowhere_else() {
    let keys = signatures::KEYS.iter().map(|(place, _)| *place);
    let files = signatures::FILES.iter().map(|(place, _)| *place);
    let others = [signatures::ULTRALIGHT_VERSION, signatures::ULTRALIGHT_TIME, signatures::NORTON, STATUS.class];
    let read = keys.chain(files).chain(others).collect();
    assert_eq!(difference(&claimed("freshness"), read), (Vec::new(), Vec::new()));
}

#[test]
fn evidence_of_protection_is_read_at_every_place_of_the_catalogue_and_nowhere_else() {
    let read = realtime::SWITCHES.iter().map(|(place, _)| *place).chain([realtime::FIREWALL, STATUS.class]).collect();
    assert_eq!(difference(&claimed("realtime"), read), (Vec::new(), Vec::new()));
}

#[test]
fn every_place_that_is_not_read_is_one_of_the_catalogue() {
    let all: BTreeSet<String> = claimed("freshness").into_iter().chain(claimed("realtime")).collect();
    let unknown: Vec<&str> = NOT_READ.iter().map(|(place, _)| *place).filter(|place| !all.contains(*place)).collect();
    assert_eq!(unknown, [""; 0]);
}
