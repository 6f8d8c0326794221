//! What goes wrong at a call to a port, drawn from the weather of the moment.

use std::time::Duration;

use crate::chance::Chance;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgeMood {
    Fine,
    Slow,
    VerySlow,
    Flaky,
    Lossy,
    Down,
    Misconfigured,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMood {
    Fine,
    Slow,
    Flaky,
    RefusesWrites,
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    pub forge: ForgeMood,
    pub store: StoreMood,
    /// Whether processes die at calls.
    pub brittle: bool,
}

/// How a call to the forge goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgeFault {
    None,
    /// 503, and nothing done.
    Down,
    /// An HTML page, and nothing done.
    Odd,
    /// The request is lost on its way; the caller waits in vain.
    RequestLost,
    /// Done, and the connection breaks before the answer.
    AnswerLost,
    /// Done, and the answer is cut.
    AnswerCut,
    /// Done, and the caller waits in vain.
    AnswerHangs,
    /// `invalid_client`.
    Misconfigured,
    DiesBefore,
    DiesWhileWaiting,
    DiesAfter,
}

/// How a call to the store goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    None,
    FailsBefore,
    FailsAfter,
    DiesBefore,
    DiesAfter,
}

/// A fault, and how long the call takes before and after its effect.
#[derive(Clone, Copy, Debug)]
pub struct Plan<F> {
    pub fault: F,
    pub before: Duration,
    pub after: Duration,
}

impl<F> Plan<F> {
    /// Longer than what counts as quick.
    pub fn is_slow(&self) -> bool {
        self.before + self.after > Duration::from_millis(400)
    }
}

impl Weather {
    pub fn fine() -> Self {
        Self { forge: ForgeMood::Fine, store: StoreMood::Fine, brittle: false }
    }

    pub fn turn(&mut self, chance: &mut Chance) {
        use ForgeMood as F;
        use StoreMood as S;
        if chance.percent(65) {
            self.forge = chance.weighed(&[
                (10, F::Fine),
                (4, F::Slow),
                (4, F::VerySlow),
                (4, F::Flaky),
                (4, F::Lossy),
                (2, F::Down),
                (1, F::Misconfigured),
            ]);
        }
        if chance.percent(65) {
            self.store = chance.weighed(&[
                (10, S::Fine),
                (3, S::Slow),
                (3, S::Flaky),
                (2, S::RefusesWrites),
                (1, S::Down),
            ]);
        }
        self.brittle = chance.percent(25);
    }

    pub fn forge_plan(&self, chance: &mut Chance) -> Plan<ForgeFault> {
        use ForgeFault as T;
        let (least, most) = match self.forge {
            ForgeMood::Slow => (100, 3_000),
            ForgeMood::VerySlow => (1_000, 9_000),
            _ => (1, 120),
        };
        let (before, after) = (chance.span(least, most), chance.span(least, most));
        let fault = match self.forge {
            _ if self.brittle && chance.one_in(25) => {
                chance.pick(&[T::DiesBefore, T::DiesWhileWaiting, T::DiesAfter])
            }
            ForgeMood::Down => chance.pick(&[T::Down, T::Down, T::RequestLost]),
            ForgeMood::Misconfigured => T::Misconfigured,
            ForgeMood::Flaky if chance.percent(40) => chance.pick(&[T::Down, T::Odd, T::RequestLost]),
            ForgeMood::Lossy if chance.percent(40) => {
                chance.pick(&[T::AnswerLost, T::AnswerCut, T::AnswerHangs])
            }
            _ => T::None,
        };
        Plan { fault, before, after }
    }

    pub fn store_plan(&self, writes: bool, chance: &mut Chance) -> Plan<StoreFault> {
        use StoreFault as T;
        let (least, most) = match self.store {
            StoreMood::Slow => (10, 1_500),
            _ => (0, 6),
        };
        let (before, after) = (chance.span(least, most), chance.span(least, most));
        let fault = match self.store {
            _ if self.brittle && chance.one_in(60) => chance.pick(&[T::DiesBefore, T::DiesAfter]),
            StoreMood::Down => T::FailsBefore,
            StoreMood::RefusesWrites if writes => T::FailsBefore,
            StoreMood::Flaky if chance.percent(20) => {
                if writes {
                    chance.pick(&[T::FailsBefore, T::FailsAfter])
                } else {
                    T::FailsBefore
                }
            }
            _ => T::None,
        };
        Plan { fault, before, after }
    }
}
