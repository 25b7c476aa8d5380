//! Sources of the contract that this agent does not read yet. Their outcome is never one that proves an absence.

use muster_proto::model::SourceName;

use crate::sources::{ScanContext, Source, SourceReading};

pub(in crate::sources) struct Unread(pub(in crate::sources) SourceName);

impl Source for Unread {
    fn name(&self) -> SourceName {
        self.0
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        if self.0 == SourceName::Processes && !context.root.is_running_system() {
            return SourceReading::not_applicable("no processes: the root is not a running system");
        }
        SourceReading::failed("this version of the agent does not read this source")
    }
}
