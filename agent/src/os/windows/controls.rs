//! What the service manager of Windows asks of a service, and what the service tells it: the decisions, without any call of
//! the system. The numbers are those of `winsvc.h` and `winuser.h`.

use std::time::Duration;

use crate::os::signals::Signal;

const CONTROL_STOP: u32 = 1;
const CONTROL_INTERROGATE: u32 = 4;
const CONTROL_SHUTDOWN: u32 = 5;
const CONTROL_PARAMCHANGE: u32 = 6;
const CONTROL_SESSIONCHANGE: u32 = 14;
const CONTROL_PRESHUTDOWN: u32 = 15;
/// `WTS_SESSION_LOGON`: the event of a session change after which the hive of a user is loaded.
const SESSION_LOGON: u32 = 5;

const ACCEPT_STOP: u32 = 0x01;
const ACCEPT_SHUTDOWN: u32 = 0x04;
const ACCEPT_PARAMCHANGE: u32 = 0x08;
const ACCEPT_SESSIONCHANGE: u32 = 0x80;
const ACCEPT_PRESHUTDOWN: u32 = 0x100;

/// How long the start may take: the state directory and the watched places are opened under time limits of their own.
const START: Duration = Duration::from_secs(120);
/// How long a stop may take: the drain of the service (ten seconds), and what surrounds it.
pub(in crate::os) const STOP: Duration = Duration::from_secs(30);

/// What a control asks of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::os) enum Asked {
    /// To do this.
    Signal(Signal),
    /// Nothing; it is acknowledged.
    Nothing,
    /// What this service does not offer.
    NotOffered,
}

/// What this control asks. `event` only counts for a session change.
pub(in crate::os) const fn asked(control: u32, event: u32) -> Asked {
    match control {
        CONTROL_STOP => Asked::Signal(Signal::End("stop")),
        CONTROL_SHUTDOWN => Asked::Signal(Signal::End("shutdown")),
        CONTROL_PRESHUTDOWN => Asked::Signal(Signal::End("pre-shutdown")),
        CONTROL_PARAMCHANGE => Asked::Signal(Signal::Reload),
        CONTROL_SESSIONCHANGE if event == SESSION_LOGON => Asked::Signal(Signal::LogOn),
        CONTROL_SESSIONCHANGE | CONTROL_INTERROGATE => Asked::Nothing,
        _ => Asked::NotOffered,
    }
}

/// A phase in the life of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::os) enum Phase {
    /// It opens its files.
    Starting,
    /// It works.
    Running,
    /// It finishes its work.
    Stopping,
    /// It has ended.
    Stopped {
        /// Whether its work failed. The service manager then acts as after a crash.
        failed: bool,
    },
}

impl Phase {
    /// The controls that the service accepts in this phase, as bits of `dwControlsAccepted`.
    pub(in crate::os) const fn accepts(self) -> u32 {
        match self {
            // Controls that arrive before the first scan are kept until somebody asks for them.
            Self::Starting => ACCEPT_STOP | ACCEPT_SHUTDOWN | ACCEPT_PRESHUTDOWN,
            Self::Running => {
                ACCEPT_STOP | ACCEPT_SHUTDOWN | ACCEPT_PRESHUTDOWN | ACCEPT_PARAMCHANGE | ACCEPT_SESSIONCHANGE
            }
            Self::Stopping | Self::Stopped { .. } => 0,
        }
    }

    /// How long the phase may take before the service manager considers the service hung.
    pub(in crate::os) const fn wait_hint(self) -> Duration {
        match self {
            Self::Starting => START,
            Self::Stopping => STOP,
            Self::Running | Self::Stopped { .. } => Duration::ZERO,
        }
    }

    /// Whether the service may go from this phase to the next one. A late report of an earlier phase is not passed on.
    pub(in crate::os) const fn may_become(self, next: Self) -> bool {
        const fn rank(phase: Phase) -> u8 {
            match phase {
                Phase::Starting => 0,
                Phase::Running => 1,
                Phase::Stopping => 2,
                Phase::Stopped { .. } => 3,
            }
        }
        rank(self) < rank(next)
    }
}

/// The controls that have arrived. They are counted and not queued, so that none is ever dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::os) struct Controls {
    end: Option<&'static str>,
    reloads: u32,
    log_ons: u32,
}

impl Controls {
    /// Adds one.
    pub(in crate::os) const fn add(&mut self, signal: Signal) {
        match signal {
            // The first reason counts.
            Signal::End(name) if self.end.is_none() => self.end = Some(name),
            Signal::End(_) => {}
            Signal::Reload => self.reloads = self.reloads.wrapping_add(1),
            Signal::LogOn => self.log_ons = self.log_ons.wrapping_add(1),
        }
    }

    /// The next signal among the controls that have `arrived` and were not taken before; several of one kind are one signal.
    pub(in crate::os) fn take(&mut self, arrived: Self) -> Option<Signal> {
        if self.end.is_none() && arrived.end.is_some() {
            self.end = arrived.end;
            return arrived.end.map(Signal::End);
        }
        if self.reloads != arrived.reloads {
            self.reloads = arrived.reloads;
            return Some(Signal::Reload);
        }
        if self.log_ons != arrived.log_ons {
            self.log_ons = arrived.log_ons;
            return Some(Signal::LogOn);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_stop_reload_or_wake_the_agent() {
        for (control, event, signal) in [
            (1, 0, Signal::End("stop")),
            (5, 0, Signal::End("shutdown")),
            (15, 0, Signal::End("pre-shutdown")),
            (6, 0, Signal::Reload),
            (14, 5, Signal::LogOn),
        ] {
            assert_eq!(asked(control, event), Asked::Signal(signal), "{control}");
        }
        // A log-off and a locked screen are no reason to do anything, least of all to stop.
        for event in [1, 2, 6, 7, 8] {
            assert_eq!(asked(14, event), Asked::Nothing, "{event}");
        }
        assert_eq!(asked(4, 0), Asked::Nothing);
        for control in [2, 3, 7, 11, 13, 128, 255] {
            assert_eq!(asked(control, 5), Asked::NotOffered, "{control}");
        }
    }

    #[test]
    fn every_control_that_asks_for_something_is_accepted_while_the_service_runs() {
        let bits = [(1, 0x01), (5, 0x04), (6, 0x08), (14, 0x80), (15, 0x100)];
        for (control, bit) in bits {
            assert_ne!(asked(control, 5), Asked::NotOffered);
            assert_eq!(Phase::Running.accepts() & bit, bit, "{control}");
        }
        assert_eq!(Phase::Running.accepts(), bits.iter().map(|(_, bit)| bit).sum::<u32>(), "and no other one");
        assert_eq!(Phase::Stopping.accepts(), 0);
        assert_eq!(Phase::Starting.accepts() & 0x01, 0x01, "a start that takes long can be stopped");
    }

    #[test]
    fn a_stopping_service_does_not_run_again() {
        let stopped = Phase::Stopped { failed: false };
        for (from, to) in
            [(Phase::Starting, Phase::Running), (Phase::Running, Phase::Stopping), (Phase::Stopping, stopped)]
        {
            assert!(from.may_become(to) && !to.may_become(from), "{from:?} to {to:?}");
        }
        assert!(Phase::Starting.may_become(stopped));
        assert!(!Phase::Running.may_become(Phase::Running), "ready comes again after a reload");
        assert!(!stopped.may_become(Phase::Stopped { failed: true }));
        assert!(Phase::Stopping.wait_hint() > Duration::from_secs(10), "the drain takes ten seconds");
    }

    #[test]
    fn no_control_is_lost_and_a_stop_comes_first() {
        let (mut arrived, mut taken) = (Controls::default(), Controls::default());
        assert_eq!(taken.take(arrived), None);
        for signal in [Signal::Reload, Signal::LogOn, Signal::Reload, Signal::End("stop"), Signal::End("shutdown")] {
            arrived.add(signal);
        }
        let signals: Vec<Signal> = std::iter::from_fn(|| taken.take(arrived)).collect();
        assert_eq!(signals, [Signal::End("stop"), Signal::Reload, Signal::LogOn]);
        arrived.add(Signal::Reload);
        assert_eq!(taken.take(arrived), Some(Signal::Reload));
        assert_eq!(taken.take(arrived), None);
    }
}
