//! Windows Management Instrumentation, as sources ask it: a class and the names of its properties in, rows of texts and
//! numbers out. Recorded answers take the place of the running system, and the answers of a scan can be recorded.
//!
//! A class is asked once per scan, whichever source or part of the state needs it. A provider may never answer, so each question
//! has a thread and a time limit of its own. The limit is less than that of a source, so that a source whose question hangs still
//! reports what it read elsewhere. The thread is abandoned, and until it ends its namespace is not asked again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::parse::windows::wmi::{Answer, Answers, WmiError};
use crate::deadline::{self, StuckWork, Unfinished};

/// A question: the rows of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Namespace and class: `root\SecurityCenter2:AntiVirusProduct`.
    pub class: &'static str,
    /// The properties that are read. One that the class does not have is left out.
    pub properties: &'static [&'static str],
}

impl Question {
    /// Namespace and name of the class.
    #[must_use]
    pub fn place(&self) -> (&'static str, &'static str) {
        self.class.split_once(':').unwrap_or((r"root\cimv2", self.class))
    }
}

/// A system that answers. It may hang.
pub trait Instrumentation: Send + Sync + fmt::Debug {
    /// Answers a question on the thread of its caller.
    fn ask(&self, question: &Question) -> Answer;
}

/// The answers of one scan.
#[derive(Debug, Clone, Default)]
pub struct Wmi {
    answering: Answering,
    asked: Arc<Mutex<BTreeMap<String, Asked>>>,
}

/// Who answers.
#[derive(Debug, Clone, Default)]
enum Answering {
    #[default]
    Nobody,
    Recorded(Arc<Answers>),
    System {
        system: Arc<dyn Instrumentation>,
        limit: Duration,
        stuck: StuckWork,
    },
}

/// The answer of a class, for which others wait while one asks.
type Asked = Arc<OnceLock<Option<Answer>>>;

impl Wmi {
    /// Only what was recorded.
    #[must_use]
    pub fn recorded(answers: Arc<Answers>) -> Self {
        Self { answering: Answering::Recorded(answers), asked: Arc::default() }
    }

    /// Asks this system, with a time limit for each question. What is stuck is remembered from scan to scan.
    #[must_use]
    pub fn running(system: Arc<dyn Instrumentation>, limit: Duration, stuck: StuckWork) -> Self {
        Self { answering: Answering::System { system, limit, stuck }, asked: Arc::default() }
    }

    /// The answer to a question; `None` if nobody can be asked.
    #[must_use]
    pub fn ask(&self, question: &Question) -> Option<Answer> {
        self.entry(question.class).get_or_init(|| self.answering.ask(question)).clone()
    }

    /// Notes what the system answered in another way, so that it is recorded.
    pub fn note(&self, class: &str, answer: &Answer) {
        self.entry(class).get_or_init(|| Some(answer.clone()));
    }

    /// Every answer so far.
    #[must_use]
    pub fn answers(&self) -> Answers {
        let mut answers = Answers::default();
        for (class, asked) in self.asked.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(Some(answer)) = asked.get() {
                answers.add(class, answer.clone());
            }
        }
        answers
    }

    fn entry(&self, class: &str) -> Asked {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(asked.entry(class.to_owned()).or_default())
    }
}

impl Answering {
    fn ask(&self, question: &Question) -> Option<Answer> {
        let (system, limit, stuck) = match self {
            Self::Nobody => return None,
            Self::Recorded(answers) => return answers.of(question.class).cloned(),
            Self::System { system, limit, stuck } => (Arc::clone(system), *limit, stuck),
        };
        let asked = *question;
        let work = move || {
            deadline::reading(asked.class);
            system.ask(&asked)
        };
        // A provider that hangs answers for no class of its namespace.
        let name = format!("wmi {}", question.place().0);
        Some(match deadline::run(&name, limit, stuck, work) {
            Ok(answer) => answer,
            Err(Unfinished::TimedOut { .. }) => Answer::Error(WmiError::TimedOut),
            Err(aborted @ Unfinished::Aborted) => Answer::Error(WmiError::Failed(aborted.to_string())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::parse::windows::wmi::Row;

    /// Answers with one row, and hangs in one namespace.
    #[derive(Debug, Default)]
    struct System(Mutex<Vec<&'static str>>);

    impl Instrumentation for System {
        fn ask(&self, question: &Question) -> Answer {
            self.0.lock().expect("unpoisoned").push(question.class);
            while question.place().0 == r"root\hung" {
                std::thread::park();
            }
            Answer::Rows(vec![Row::default()])
        }
    }

    const fn question(class: &'static str) -> Question {
        Question { class, properties: &["Name"] }
    }

    const FAR: Duration = Duration::from_secs(600);

    #[test]
    fn a_class_is_asked_once_however_many_need_it() {
        let system = Arc::new(System::default());
        let wmi = Wmi::running(Arc::clone(&system) as Arc<dyn Instrumentation>, FAR, StuckWork::default());
        let asked = question(r"root\x:A");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!(matches!(wmi.ask(&asked), Some(Answer::Rows(rows)) if rows.len() == 1)));
            }
        });
        assert_eq!(*system.0.lock().expect("unpoisoned"), [asked.class]);
        assert!(wmi.answers().of(asked.class).is_some());
    }

    #[test]
    fn a_namespace_that_hangs_is_not_asked_again_and_holds_up_no_other() {
        let (system, stuck) = (Arc::new(System::default()), StuckWork::default());
        let scan = |limit| Wmi::running(Arc::clone(&system) as Arc<dyn Instrumentation>, limit, stuck.clone());
        let [hung, same, other] = [r"root\hung:A", r"root\hung:B", r"root\x:A"].map(question);
        let timed_out = Some(Answer::Error(WmiError::TimedOut));
        let first = scan(Duration::from_millis(50));
        assert_eq!((first.ask(&hung), first.ask(&same)), (timed_out.clone(), timed_out.clone()));
        // The next scan would wait for minutes if it asked.
        let next = scan(FAR);
        assert_eq!((next.ask(&hung), next.ask(&same)), (timed_out.clone(), timed_out));
        assert!(matches!(next.ask(&other), Some(Answer::Rows(_))));
        assert_eq!(*system.0.lock().expect("unpoisoned"), [hung.class, other.class]);
    }

    #[test]
    fn without_a_system_and_a_recording_nobody_is_asked() {
        let asked = question(r"root\x:A");
        assert_eq!(Wmi::default().ask(&asked), None);
        let recorded = Answers::parse("{\"class\":\"root\\\\X:a\"}").expect("valid");
        assert_eq!(Wmi::recorded(Arc::new(recorded)).ask(&asked), Some(Answer::Rows(Vec::new())));
        assert_eq!(asked.place(), (r"root\x", "A"));
    }
}
