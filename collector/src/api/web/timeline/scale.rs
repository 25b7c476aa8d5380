//! Scales of charts: the ends of an axis, its ticks, and places on it. Everything is whole numbers.

/// A part of the width or the height of a chart, in thousandths.
pub(super) type Thousandths = u64;

/// An axis of numbers. Its ends and its ticks are round numbers, and zero is one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axis {
    low: i64,
    high: i64,
    /// From the lowest to the highest.
    pub(super) ticks: Vec<i64>,
}

impl Axis {
    /// An axis on which both numbers and zero have a place, with about `steps` steps, and never twice as many.
    pub(super) fn new(low: i64, high: i64, steps: u64) -> Self {
        let (low, high) = (low.min(0), high.max(0));
        let range = high.saturating_sub(low).unsigned_abs().max(1);
        let step = round_up(range.div_ceil(steps.max(1))).cast_signed();
        let (low, high) = (low.div_euclid(step), high.saturating_add(step - 1).div_euclid(step));
        let high = if low == high { high + 1 } else { high };
        let ticks = (low..=high).map(|tick| tick.saturating_mul(step)).collect();
        Self { low: low.saturating_mul(step), high: high.saturating_mul(step), ticks }
    }

    /// The place of a number, from the top. Numbers beyond the ends are at the ends.
    pub(super) fn place_of(&self, number: i64) -> Thousandths {
        let part = i128::from(self.high) - i128::from(number.clamp(self.low, self.high));
        let whole = (i128::from(self.high) - i128::from(self.low)).max(1);
        u64::try_from((part * 1_000 + whole / 2) / whole).unwrap_or_default()
    }
}

/// The least number of the form 1, 2 or 5 times a power of ten that is not below `number`.
fn round_up(number: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            match power.checked_mul(factor) {
                Some(round) if round >= number => return round,
                Some(_) => {}
                // No number of machines is so large.
                None => return power,
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Which of the days from the first to the last one have a label: the last one, and others before it at the same distance.
pub(super) fn day_ticks(first: i64, last: i64, most: u64) -> Vec<i64> {
    const STEPS: [u64; 8] = [1, 2, 7, 14, 28, 56, 91, 182];
    let days = last.saturating_sub(first).unsigned_abs() + 1;
    let step = STEPS.into_iter().find(|step| days.div_ceil(*step) <= most).unwrap_or(days);
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    let mut ticks: Vec<i64> = (first..=last).rev().step_by(step).collect();
    ticks.reverse();
    ticks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_axis_begins_at_zero_and_has_round_ticks() {
        assert_eq!(Axis::new(0, 412, 5).ticks, [0, 100, 200, 300, 400, 500]);
        assert_eq!(Axis::new(0, 3, 5).ticks, [0, 1, 2, 3]);
        assert_eq!(Axis::new(0, 0, 5).ticks, [0, 1], "nothing has a height");
        assert_eq!(Axis::new(-30, 45, 5).ticks, [-40, -20, 0, 20, 40, 60]);
        let axis = Axis::new(0, 400, 4);
        assert_eq!([400, 300, 0, -7, 999].map(|number| axis.place_of(number)), [0, 250, 1_000, 1_000, 0]);
    }

    #[test]
    fn the_last_day_has_a_label_and_the_others_the_same_distance() {
        assert_eq!(day_ticks(10, 10, 6), [10]);
        assert_eq!(day_ticks(1, 6, 6), [1, 2, 3, 4, 5, 6]);
        assert_eq!(day_ticks(1, 90, 6), [6, 34, 62, 90]);
        assert_eq!(day_ticks(1, 10_000, 6), [10_000]);
    }

    proptest! {
        #[test]
        fn every_number_has_a_place_and_the_ticks_are_few(low in -5_000_000_i64..=0, high in 0_i64..5_000_000, steps in 1_u64..9) {
            let axis = Axis::new(low, high, steps);
            prop_assert!(axis.low <= low && axis.high >= high && axis.ticks.contains(&0));
            prop_assert!(axis.ticks.len() as u64 <= 2 * steps + 2, "{:?}", axis.ticks);
            prop_assert!(axis.place_of(high) <= axis.place_of(low));
            prop_assert!(axis.ticks.iter().all(|tick| axis.place_of(*tick) <= 1_000));
        }

        #[test]
        fn labels_of_days_are_few(first in 0_i64..20_000, days in 0_i64..400, most in 2_u64..8) {
            let ticks = day_ticks(first, first + days, most);
            prop_assert!(!ticks.is_empty() && ticks.len() as u64 <= most);
            prop_assert_eq!(ticks.last(), Some(&(first + days)));
        }
    }
}
