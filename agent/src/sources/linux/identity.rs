//! What identifies a machine of Linux beyond its host name: numbers of its firmware, its network cards, its names on the network.
//! Only files are read. Those with the serial number and the UUID need root, or the capability CAP_DAC_READ_SEARCH that the
//! service has.

use muster_proto::model::MachineIdentity;

use super::host::{hostname, is_container};
use crate::sources::ScanContext;
use crate::sources::parse::{mac, smbios};
use crate::sources::record::Part;
use crate::sources::root::Root;

/// Numbers of the firmware. <https://docs.kernel.org/admin-guide/abi-testing.html#abi-sys-class-dmi>
const DMI: &str = "/sys/class/dmi/id";
/// The serial number on machines with a device tree, which have no DMI.
const DEVICE_TREE_SERIAL: &str = "/sys/firmware/devicetree/base/serial-number";
/// Network interfaces. <https://docs.kernel.org/admin-guide/abi-testing.html#abi-sys-class-net-iface-address>
const INTERFACES: &str = "/sys/class/net";
/// `ARPHRD_ETHER` of `if_arp.h`: Ethernet and wireless cards.
const ETHERNET: &str = "1";
/// `NET_ADDR_RANDOM` and `NET_ADDR_SET` of `netdevice.h`: how an interface got its address.
const RANDOM: &str = "1";
const SET: &str = "3";

pub(super) const IDENTITY: &[Part] = &[Part {
    what: "what identifies the machine",
    read: |context| {
        let identity = identity(context);
        Box::new(move |record| record.facts.identity = identity)
    },
    unread: |_| {},
}];

fn identity(context: &ScanContext) -> MachineIdentity {
    let root = &context.root;
    let is_running = root.is_running_system();
    let name = if is_running { line(root, "/proc/sys/kernel/hostname") } else { hostname(root) };
    let fqdn = fqdn(&name, &root.read_text("/etc/hosts").unwrap_or_default());
    let domain = fqdn.split_once('.').map(|(_, domain)| domain.to_owned()).unwrap_or_default();
    let names = MachineIdentity { fqdn, domain, ..MachineIdentity::default() };
    // A container sees the firmware of its host, and its network cards are no hardware.
    if is_running && !is_container(root) { of_hardware(root, names) } else { names }
}

fn of_hardware(root: &Root, names: MachineIdentity) -> MachineIdentity {
    let dmi = |file: &str| line(root, &format!("{DMI}/{file}"));
    let first_of = |texts: [String; 2]| texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    MachineIdentity {
        serial: first_of([dmi("product_serial"), line(root, DEVICE_TREE_SERIAL)]),
        hardware_uuid: dmi("product_uuid").to_ascii_lowercase(),
        asset_tag: dmi("chassis_asset_tag"),
        chassis: dmi("chassis_type").parse().map_or("", smbios::chassis).to_owned(),
        macs: cards(root),
        ..names
    }
}

/// The addresses of the network cards: interfaces that belong to a device, but not as a virtual function of another one.
fn cards(root: &Root) -> Vec<String> {
    let interfaces = root.list(INTERFACES).unwrap_or_default();
    interfaces.iter().filter_map(|interface| card(root, &format!("{INTERFACES}/{}", interface.name))).collect()
}

/// The address of the card that an interface is; `None` if it is none, or its address is made up.
fn card(root: &Root, interface: &str) -> Option<String> {
    let of = |file: &str| line(root, &format!("{interface}/{file}"));
    let exists = |file: &str| matches!(root.kind_at(&format!("{interface}/{file}")), Ok(Some(_)));
    if !exists("device") || exists("device/physfn") || of("type") != ETHERNET {
        return None;
    }
    // The members of a bond all have the address of the bond.
    if let Some(own) = mac::of_text(&of("bonding_slave/perm_hwaddr")) {
        return Some(own);
    }
    let address = mac::of_text(&of("address"))?;
    let is_made_up = match of("addr_assign_type").as_str() {
        RANDOM => true,
        // A program has set it. Those that protect privacy take one of those that no manufacturer has.
        SET => mac::is_local(&address),
        _ => false,
    };
    (!is_made_up).then_some(address)
}

/// The first line of a file, without blanks and zeros at its ends; empty if it cannot be read.
fn line(root: &Root, path: &str) -> String {
    let text = root.read_text(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()
}

/// The full name of a machine: its host name if that has a domain, otherwise what `/etc/hosts` calls it. The DNS is not asked.
fn fqdn(hostname: &str, hosts: &str) -> String {
    let of_host = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        let mut names = line.split_whitespace().skip(1);
        let is_of_host = |name: &&str| {
            name.split_once('.').is_some_and(|(first, _)| !first.is_empty() && first.eq_ignore_ascii_case(hostname))
        };
        names.find(is_of_host).map(str::to_owned)
    };
    let named = hostname.contains('.').then(|| hostname.to_owned());
    let found = named.or_else(|| hosts.lines().find_map(of_host)).unwrap_or_default().to_ascii_lowercase();
    // What installers write where nobody has named a domain.
    if found.ends_with(".localdomain") { String::new() } else { found }
}

#[cfg(all(test, unix))]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_full_name_is_that_of_the_host_or_of_the_hosts_file() {
        let hosts = "127.0.0.1 localhost.localdomain localhost\n# 10.0.0.1 web.old.example\n\
                     10.0.0.7\tdb.example.org db\n10.0.0.8 WEB.Example.org web # ours\n";
        assert_eq!(fqdn("web", hosts), "web.example.org");
        assert_eq!(fqdn("WEB.other.org", hosts), "web.other.org");
        assert_eq!(fqdn("mail", hosts), "");
        assert_eq!(fqdn("localhost", hosts), "");
        assert_eq!(fqdn("localhost.localdomain", hosts), "");
        assert_eq!(fqdn("", "10.0.0.9 .example.org"), "");
    }

    fn file(folder: &Path, path: &str, text: &str) {
        let file = folder.join(path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        std::fs::write(file, text).expect("written");
    }

    #[test]
    fn numbers_of_the_firmware_and_physical_cards_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let dmi = [
            ("product_serial", "7B5V4M1\n"),
            ("product_uuid", "4C4C4544-0042-3510-8056-B4C04F4E4D31\n"),
            ("chassis_asset_tag", "FIN-0042\n"),
            ("chassis_type", "10\n"),
        ];
        dmi.iter().for_each(|(name, text)| file(folder.path(), &format!("sys/class/dmi/id/{name}"), text));
        let interfaces = [
            ("eth0", "00:1b:63:84:45:e6", "1", "0", true),
            ("wlan0", "00:1b:63:84:45:e7", "1", "3", true),
            ("virtual", "52:54:00:84:45:e9", "1", "0", true),
            ("random", "0a:1b:63:84:45:e8", "1", "1", true),
            ("private", "0a:1b:63:84:45:ea", "1", "3", true),
            ("function", "00:1b:63:84:45:eb", "1", "0", true),
            ("bonded", "00:1b:63:84:45:e6", "1", "3", true),
            ("docker0", "02:42:ac:11:00:02", "1", "3", false),
            ("ib0", "00:00:00:67:fe:80", "32", "0", true),
            ("lo", "00:00:00:00:00:00", "772", "0", false),
        ];
        for (name, address, kind, assigned, is_card) in interfaces {
            let of = |what: &str| format!("sys/class/net/{name}/{what}");
            file(folder.path(), &of("address"), address);
            file(folder.path(), &of("type"), kind);
            file(folder.path(), &of("addr_assign_type"), assigned);
            if is_card {
                file(folder.path(), &of("device/vendor"), "0x8086");
            }
        }
        file(folder.path(), "sys/class/net/function/device/physfn/vendor", "0x8086");
        file(folder.path(), "sys/class/net/bonded/bonding_slave/perm_hwaddr", "00:1b:63:84:45:ec\n");
        let root = Root::below(folder.path()).expect("a root");
        let mut found = of_hardware(&root, MachineIdentity::default());
        found.macs.sort();
        assert_eq!(
            (found.serial.as_str(), found.asset_tag.as_str(), found.chassis.as_str()),
            ("7B5V4M1", "FIN-0042", "notebook")
        );
        assert_eq!(found.hardware_uuid, "4c4c4544-0042-3510-8056-b4c04f4e4d31");
        let cards = ["00:1b:63:84:45:e6", "00:1b:63:84:45:e7", "00:1b:63:84:45:ec", "52:54:00:84:45:e9"];
        assert_eq!(found.macs, cards);
    }

    #[test]
    fn a_board_with_a_device_tree_has_its_serial_number_there() {
        let folder = tempfile::tempdir().expect("a folder");
        file(folder.path(), "sys/firmware/devicetree/base/serial-number", "10000000a1b2c3d4\0");
        let root = Root::below(folder.path()).expect("a root");
        let found = of_hardware(&root, MachineIdentity::default());
        assert_eq!(found, MachineIdentity { serial: "10000000a1b2c3d4".to_owned(), ..MachineIdentity::default() });
    }
}
