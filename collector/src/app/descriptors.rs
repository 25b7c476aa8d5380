//! File descriptors: how many connections the listeners may keep, so that the store, operators and probes always have some.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::config::Settings;

/// With fewer descriptors than the reserve, each listener still has to serve somebody.
const FEWEST: usize = 8;

/// The connections that each listener may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) agents: usize,
    pub(super) operators: usize,
}

/// Raises the limit of descriptors as far as the system allows, and shares what there is.
pub(super) fn share_of(settings: &Settings) -> Share {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let is_raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if is_raised { maximum } else { current };
    let wanted = Share { agents: settings.agents.connections, operators: settings.operators.connections };
    // No limit means that the system's memory is the limit.
    let Some(limit) = limit else { return wanted };
    let share = share(limit, settings.listeners.reserved_descriptors, wanted);
    if share != wanted {
        warn!(
            descriptors = limit,
            agents = share.agents,
            operators = share.operators,
            "the limit of open files is too low for agents.connections and operators.connections, so fewer connections \
             are kept; raise LimitNOFILE of the service or `ulimit -n`"
        );
    }
    share
}

/// Operators get at most a quarter of what is left after the reserve, agents the rest.
fn share(limit: u64, reserve: u64, wanted: Share) -> Share {
    let left = usize::try_from(limit.saturating_sub(reserve)).unwrap_or(usize::MAX).max(FEWEST);
    let operators = wanted.operators.min(left / 4);
    Share { agents: wanted.agents.min(left - operators), operators }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_reserve_alone() {
        let wanted = Share { agents: 20_000, operators: 256 };
        assert_eq!(share(65_536, 256, wanted), wanted);
        assert_eq!(share(1_024, 256, wanted), Share { agents: 576, operators: 192 });
        assert_eq!(share(100, 256, wanted), Share { agents: 6, operators: 2 });
    }
}
