//! A small world in all its interleavings: one machine that changes, restarts, and is rolled back with its memory; a network
//! that loses requests and answers and repeats messages; and the decisions of this file.
//!
//! After each acknowledgement the host's current snapshot and state are the acknowledged ones; and from every state of the
//! world, a network that works leads to an acknowledgement of what the machine has.

use std::collections::HashSet;

use muster_proto::model::{Platform, RunId, Timestamp};

use super::*;
use crate::store::last_seen::RunReturns;

/// Steps after which a world is not continued.
const DEPTH: usize = 8;
/// Runs that are drawn in one world.
const RUNS: u8 = 5;
/// Messages after which a delivery must be acknowledged if none is lost.
const MESSAGES: usize = 6;

/// What the machine has: a snapshot, and a state beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Content {
    snapshot: u8,
    state: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Message {
    run: u8,
    seq: u64,
    content: Content,
    is_upload: bool,
    /// Facts are sent with the first check-in of a run and after a failure, the state also after a change.
    has_facts: bool,
    has_state: bool,
}

/// The agent as `Run` in `muster-agent` is: what is in its memory comes back with a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Agent {
    run: u8,
    seq: u64,
    content: Content,
    /// The state that it takes for acknowledged in this run.
    acknowledged: Option<u8>,
    /// The check-in that is to be followed by an upload.
    uploads: Option<Message>,
}

/// The last run with its number, the run before it, and whether runs come back.
type Seen = (u8, u64, Option<(u8, u64)>, RunReturns);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Collector {
    stored: [bool; 2],
    current: Option<u8>,
    state: Option<u8>,
    seen: Option<Seen>,
    /// Whether a report has shown two holders of the key.
    shows_two: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    agent: Agent,
    saved: Option<Agent>,
    collector: Collector,
    /// The last two messages, which the network may repeat.
    sent: [Option<Message>; 2],
    runs: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Acknowledged,
    StateWanted,
    UploadWanted,
    NewRun,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    RequestLost,
    AnswerLost,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Call(Fate),
    ChangeSnapshot,
    ChangeState,
    Save,
    RollBack,
    Restart,
    Repeat(usize),
}

const STEPS: [Step; 10] = [
    Step::Call(Fate::Arrives),
    Step::Call(Fate::RequestLost),
    Step::Call(Fate::AnswerLost),
    Step::ChangeSnapshot,
    Step::ChangeState,
    Step::Save,
    Step::RollBack,
    Step::Restart,
    Step::Repeat(0),
    Step::Repeat(1),
];

fn run(n: u8) -> RunId {
    RunId::from_bytes([n; 16])
}

impl Collector {
    fn receive(&mut self, message: Message) -> Answer {
        let Message { content, seq, .. } = message;
        let at = Timestamp::from_millis(5);
        let last = |(run_no, seq, previous, returns): Seen| LastSeen {
            last_seen: at,
            run: run(run_no),
            seq,
            previous: previous.map(|(no, seq)| (run(no), seq)),
            returns,
        };
        let host = HostBefore {
            current: self.current.map(|snapshot| CurrentSnapshot { snapshot, since: at, observed_at: at }),
            judged_at: None,
            is_queued: false,
            seen: LastSeenPair { row: self.seen.map(last), memory: None },
            enrolled_at: at,
            platform: Platform::Linux,
        };
        let arrival =
            Arrival { run: run(message.run), seq, observed_at: at, now: at, patience: None, may_change: true };
        if message.is_upload {
            self.stored[usize::from(content.snapshot)] = true;
        }
        let is_stored = self.stored[usize::from(content.snapshot)];
        let named = is_stored.then(|| KnownSnapshot {
            no: content.snapshot,
            platform: Platform::Linux,
            missing: Vec::new(),
            foreign: None,
        });
        let (answer, change) = if message.is_upload {
            let (answer, change) = deliver(&host, arrival, named);
            let answer = match answer {
                Delivered::Accepted => Answer::Acknowledged,
                Delivered::StateWanted => Answer::StateWanted,
                Delivered::NewRun => Answer::NewRun,
                other @ (Delivered::SnapshotWanted
                | Delivered::SectionsWanted(_)
                | Delivered::HeldBack(_)
                | Delivered::Contradicts(_)
                | Delivered::HostUnknown) => panic!("{other:?}"),
            };
            (answer, change)
        } else {
            let differs = Differs {
                facts: false,
                machine: false,
                state: message.has_state && self.state != Some(content.state),
                is_whole: message.has_facts && message.has_state,
            };
            let (answer, change) = check_in(&host, arrival, differs, named);
            let answer = match answer {
                CheckInAnswer::Current => Answer::Acknowledged,
                CheckInAnswer::StateWanted => Answer::StateWanted,
                CheckInAnswer::SnapshotWanted => Answer::UploadWanted,
                CheckInAnswer::NewRun => Answer::NewRun,
                other @ (CheckInAnswer::SectionsWanted(_)
                | CheckInAnswer::Contradicts(_)
                | CheckInAnswer::Throttled
                | CheckInAnswer::HostUnknown) => panic!("{other:?}"),
            };
            (answer, change)
        };
        if let Some(change) = change {
            self.shows_two |= change.two_holders.is_some();
            if change.has_new_state {
                self.state = Some(content.state);
            }
            if let Some(snapshot) = change.snapshot {
                self.current = Some(snapshot.now.snapshot);
            }
            let number = |run: RunId| run.as_bytes()[0];
            let previous = change.seen.previous.map(|(run, seq)| (number(run), seq));
            self.seen = Some((number(change.seen.run), change.seen.seq, previous, change.seen.returns));
        }
        if answer == Answer::Acknowledged {
            let has = (self.current, self.state);
            assert_eq!(has, (Some(content.snapshot), Some(content.state)), "{message:?} is acknowledged: {self:?}");
        }
        answer
    }
}

impl World {
    fn new() -> Self {
        let content = Content { snapshot: 0, state: 0 };
        let agent = Agent { run: 1, seq: 0, content, acknowledged: None, uploads: None };
        let collector = Collector { stored: [false; 2], current: None, state: None, seen: None, shows_two: false };
        Self { agent, saved: None, collector, sent: [None; 2], runs: 1 }
    }

    fn begin_run(&mut self) {
        self.runs += 1;
        self.agent = Agent { run: self.runs, seq: 0, acknowledged: None, uploads: None, ..self.agent };
    }

    /// One message of the agent, and what the agent makes of the answer. Returns whether it was acknowledged.
    fn call(&mut self, fate: Fate) -> bool {
        let agent = &mut self.agent;
        // What the agent does not know as acknowledged when an answer is lost, it sends again.
        let acknowledged = agent.acknowledged.take();
        let message = agent.uploads.take().map_or_else(
            || {
                agent.seq += 1;
                Message {
                    run: agent.run,
                    seq: agent.seq,
                    content: agent.content,
                    is_upload: false,
                    has_facts: acknowledged.is_none(),
                    has_state: acknowledged != Some(agent.content.state),
                }
            },
            |check_in| Message { is_upload: true, ..check_in },
        );
        self.sent = [Some(message), self.sent[0]];
        if matches!(fate, Fate::RequestLost) {
            return false;
        }
        let answer = self.collector.receive(message);
        if matches!(fate, Fate::AnswerLost) {
            return false;
        }
        match answer {
            Answer::Acknowledged => self.agent.acknowledged = Some(message.content.state),
            Answer::StateWanted => {}
            Answer::UploadWanted => self.agent.uploads = Some(message),
            Answer::NewRun => self.begin_run(),
        }
        answer == Answer::Acknowledged
    }

    fn after(&self, step: Step) -> Option<Self> {
        let mut world = self.clone();
        match step {
            Step::Call(fate) => {
                world.call(fate);
            }
            Step::ChangeSnapshot => world.agent.content.snapshot ^= 1,
            Step::ChangeState => world.agent.content.state ^= 1,
            Step::Save => world.saved = Some(world.agent),
            Step::RollBack => world.agent = world.saved?,
            Step::Restart => world.begin_run(),
            Step::Repeat(at) => {
                // Nobody waits for the answer.
                world.collector.receive(world.sent[at]?);
            }
        }
        (world.runs <= RUNS).then_some(world)
    }

    /// A delivery in a network that works.
    fn converges(mut self) -> bool {
        for _ in 0..MESSAGES {
            let content = self.agent.uploads.map_or(self.agent.content, |message| message.content);
            if self.call(Fate::Arrives) && content == self.agent.content {
                return true;
            }
        }
        false
    }
}

#[test]
fn whatever_is_acknowledged_is_current_and_every_delivery_ends() {
    let mut met = HashSet::from([World::new()]);
    let mut last = vec![World::new()];
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for world in last.iter().flat_map(|world| STEPS.iter().filter_map(|step| world.after(*step))) {
            if met.insert(world.clone()) {
                assert!(world.clone().converges(), "{world:?}");
                // Restarts and a bad network do not look like two machines; a machine that is rolled back again and again may.
                assert!(!world.collector.shows_two || world.saved.is_some(), "{world:?}");
                next.push(world);
            }
        }
        last = next;
    }
    // Most of what the bound allows was met, so the steps do not block each other.
    assert!(met.len() > 10_000, "{} worlds", met.len());
}
