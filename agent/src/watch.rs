//! Wakes the agent when a place that a source reads has changed; before `snapshot` in the flow, and no part of it: a wake says
//! that it is worth looking, never what is to be seen.
//!
//! [`Watch::arm`] is called before every scan, so that whatever changes while the agent looks wakes it again afterwards.
//! Every directory on the way to a place is watched for the next name on that way, so a place that does not exist yet is
//! watched by its nearest parent, and one that is replaced is found again. Where nothing can be watched the collector's
//! pace is all there is, and the [`Summary`] says so.

mod allowance;
mod plan;
mod settling;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::os::notify::{Notice, Notifier, Number, Unwatchable};
use crate::sources::is_absent;
use crate::sources::places::Place;
use crate::sources::root::Root;
use allowance::Allowance;
use plan::{Plan, Wish};
use settling::Settling;

/// How often the notices of a busy directory are read. What comes between is gathered by the system, and costs us nothing.
const STEP: Duration = Duration::from_millis(250);
/// Directories of one tree that are watched: a machine has some dozens.
const TREE: usize = 256;
/// Faults that are told; the rest is counted.
const FAULTS_TOLD: usize = 16;

/// What is watched, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Summary {
    /// How many directories are watched.
    pub directories: usize,
    /// Places that cannot be watched, each with the reason; their changes are seen at the collector's pace.
    pub unwatched: Vec<String>,
    /// How many more there are.
    pub more_unwatched: usize,
}

impl Summary {
    /// Whether a change in any place wakes the agent.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.unwatched.is_empty()
    }

    fn fault(&mut self, place: &str, why: &str) {
        if self.unwatched.len() < FAULTS_TOLD {
            self.unwatched.push(format!("{place}: {why}"));
        } else {
            self.more_unwatched += 1;
        }
    }
}

/// The watch over the places of one machine.
#[derive(Debug)]
pub struct Watch {
    notifier: Option<Notifier>,
    wishes: BTreeMap<Number, Wish>,
    summary: Summary,
    allowance: Allowance,
}

impl Watch {
    /// A watch that watches nothing yet. `now` begins its allowance of wakes.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            notifier: None,
            wishes: BTreeMap::new(),
            summary: Summary::default(),
            allowance: Allowance::full(now.into_std()),
        }
    }

    /// What is watched since the last [`Self::arm`].
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Watches these places of the root, as far as that is possible now. Changes of before are forgotten.
    pub fn arm(&mut self, root: &Root, places: &[Place]) {
        let notifier = match self.notifier.take().map_or_else(Notifier::open, Ok) {
            Ok(notifier) => notifier,
            Err(why) => {
                self.wishes.clear();
                self.summary = Summary::default();
                self.summary.fault("all places", &why.to_string());
                return;
            }
        };
        let mut survey = Survey { notifier: &notifier, wishes: BTreeMap::new(), summary: Summary::default() };
        // What was noticed so far is older than the scan that follows.
        let broken = notifier.take().err();
        survey.all(root, &Plan::of(places));
        let Survey { wishes, mut summary, .. } = survey;
        for number in self.wishes.keys().filter(|number| !wishes.contains_key(number)) {
            notifier.remove(*number);
        }
        summary.directories = wishes.len();
        (self.wishes, self.summary) = (wishes, summary);
        // A line that is broken is opened anew the next time.
        self.notifier = match broken {
            None => Some(notifier),
            Some(error) => {
                self.summary.fault("all places", &error.kind().to_string());
                None
            }
        };
    }

    /// Waits until something has changed, has settled, and another scan is within the allowance. May be dropped at any
    /// time: the next [`Self::arm`] and look make good for what it knew.
    pub async fn changed(&mut self) {
        if self.until_first().await.is_err() {
            // The line is broken; the next arming mends it, at the pace.
            self.notifier = None;
            std::future::pending::<()>().await;
        }
        let mut settling = Settling::since(Instant::now().into_std());
        while let Some(rest) = settling.rest(Instant::now().into_std()) {
            sleep(rest.min(STEP)).await;
            // A line that breaks now ends nothing: there is a change to look at.
            if self.take().unwrap_or(false) {
                settling.again(Instant::now().into_std());
            }
        }
        let allowed = self.allowance.next(Instant::now().into_std());
        sleep_until(allowed.into()).await;
        self.allowance.take(Instant::now().into_std());
    }

    async fn until_first(&self) -> io::Result<()> {
        let Some(notifier) = &self.notifier else { return std::future::pending().await };
        loop {
            notifier.ready().await?;
            if self.take()? {
                return Ok(());
            }
            // A directory on the way to a place may be busy with what is none of our business.
            sleep(STEP).await;
        }
    }

    /// Whether something among the new notices matters.
    fn take(&self) -> io::Result<bool> {
        let Some(notifier) = &self.notifier else { return Ok(false) };
        Ok(notifier.take()?.iter().any(|notice| match notice {
            Notice::Overflow => true,
            Notice::Gone(directory) => self.wishes.contains_key(directory),
            Notice::Entry { directory, name } => self.wishes.get(directory).is_some_and(|wish| wish.is_met_by(name)),
        }))
    }
}

/// One going over all directories of a plan.
struct Survey<'a> {
    notifier: &'a Notifier,
    wishes: BTreeMap<Number, Wish>,
    summary: Summary,
}

impl Survey<'_> {
    fn all(&mut self, root: &Root, plan: &Plan) {
        let mut absent: Vec<&str> = Vec::new();
        for (directory, wish) in plan.directories() {
            if absent.iter().any(|gone| is_below(directory, gone)) {
                continue;
            }
            match self.one(root, directory, wish) {
                Ok(true) => {}
                Ok(false) => absent.push(directory),
                Err(Unwatchable::Limit) => {
                    self.summary.fault(&format!("{directory} and what follows"), &Unwatchable::Limit.to_string());
                    return;
                }
                Err(why) => {
                    self.summary.fault(directory, &why.to_string());
                    if why == Unwatchable::Remote {
                        // Everything below is there too; once is enough.
                        absent.push(directory);
                    }
                }
            }
        }
    }

    /// Watches one directory. Whether it is there.
    fn one(&mut self, root: &Root, directory: &str, wish: &Wish) -> Result<bool, Unwatchable> {
        let opened = match root.directory(directory) {
            Ok(opened) => opened,
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => return Err(Unwatchable::Refused(error.kind())),
        };
        let number = self.notifier.add(&opened)?;
        // Two paths may lead to one directory.
        self.wishes.entry(number).or_default().add(wish);
        if wish.below {
            self.below(root, directory)?;
        }
        Ok(true)
    }

    fn below(&mut self, root: &Root, directory: &str) -> Result<(), Unwatchable> {
        // What cannot be listed is for its source to complain of; here it only is not watched.
        let entries = root.list(directory).map_err(|error| Unwatchable::Refused(error.kind()))?;
        let inner: Vec<_> = entries.iter().filter(|entry| entry.is_directory).collect();
        for entry in inner.iter().take(TREE) {
            self.one(root, &format!("{directory}/{}", entry.name), &Wish::everything())?;
        }
        if inner.len() > TREE {
            self.summary.fault(directory, &format!("only {TREE} of its {} directories are watched", inner.len()));
        }
        Ok(())
    }
}

fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
