//! From what a person names to the selection of a request: hosts, a filter, or a file. The collector finds the hosts.

use muster_proto::wire;

use super::args::selection::HostsMeantArgs;
use super::bulk;

/// Lines of one message.
const LINES: usize = 2_000;

/// The selection of the first message of a request, and the lines of each message; there is at least one.
pub(super) struct Selection {
    pub(super) first: wire::HostSelection,
    pub(super) lines: Vec<Vec<String>>,
}

/// The hosts that were named on the command line, in a file, or by a filter.
pub(super) fn selected(asked: &HostsMeantArgs) -> anyhow::Result<Selection> {
    let lines = bulk::listed(&asked.hosts, asked.hosts_file.as_deref())?;
    let filter = asked.filter.as_ref().map(ToString::to_string).unwrap_or_default();
    let first = wire::HostSelection { filter, by_lines: asked.filter.is_none(), ..Default::default() };
    Ok(portioned(first, &lines))
}

/// A selection with its lines in the messages of a request.
pub(super) fn portioned(first: wire::HostSelection, lines: &[String]) -> Selection {
    let mut portions: Vec<Vec<String>> = lines.chunks(LINES).map(<[String]>::to_vec).collect();
    if portions.is_empty() {
        portions.push(Vec::new());
    }
    Selection { first, lines: portions }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_from_the_command_line_a_file_or_a_filter() {
        let asked = HostsMeantArgs { hosts: vec!["web-1".to_owned()], filter: None, hosts_file: None };
        let found = selected(&asked).expect("reads");
        assert!(found.first.by_lines && found.first.filter.is_empty());
        assert_eq!(found.lines, [["web-1"]]);
        let filter = Some("lane:replace".parse().expect("a filter"));
        let found = selected(&HostsMeantArgs { hosts: Vec::new(), filter, hosts_file: None }).expect("reads");
        assert!(!found.first.by_lines && found.first.filter == "lane:replace");
        assert_eq!(found.lines, [Vec::<String>::new()]);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hosts");
        std::fs::write(&path, "web-1\nweb-2,web-3\n").expect("writes");
        let hosts_file = Some(path);
        let found = selected(&HostsMeantArgs { hosts: Vec::new(), filter: None, hosts_file }).expect("reads");
        assert_eq!(found.lines, [["web-1", "web-2", "web-3"]]);
    }
}
