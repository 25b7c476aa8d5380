//! Which addresses of a machine its host state has.

use std::collections::BTreeSet;
use std::net::IpAddr;

use muster_proto::limits;

/// The addresses by which others reach the machine: loopback and link-local ones mean nothing elsewhere.
pub(in crate::sources) fn shown(all: &BTreeSet<IpAddr>) -> Vec<String> {
    let means_something = |address: &&IpAddr| match address {
        IpAddr::V4(four) => !four.is_loopback() && !four.is_link_local() && !four.is_unspecified(),
        IpAddr::V6(six) => !six.is_loopback() && !six.is_unicast_link_local() && !six.is_unspecified(),
    };
    all.iter().filter(means_something).map(ToString::to_string).take(limits::ADDRESSES_PER_HOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_mean_something_elsewhere_are_shown() {
        let all = ["127.0.0.1", "10.1.2.3", "169.254.7.7", "0.0.0.0", "::1", "fe80::1", "2001:db8::42"];
        let all = all.iter().map(|text| text.parse().expect("an address")).collect();
        assert_eq!(shown(&all), ["10.1.2.3", "2001:db8::42"]);
    }
}
