//! Pairs of numbers that a search collects: an edition with a section that has it, a section with a snapshot, a snapshot with a
//! host.

use crate::store::SearchBudget;
use crate::store::fault::Step;
use crate::store::postings;

/// The memory of a pair: here, and in what is made of it.
const PAIR_BYTES: usize = 16 + 8;

/// See the head of the file.
#[derive(Debug, Default)]
pub(in crate::store) struct Pairs(Vec<(i64, i64)>);

impl Pairs {
    /// Adds a pair, and pays for it.
    pub(in crate::store) fn add(&mut self, from: i64, to: i64, budget: &SearchBudget) -> Step<()> {
        budget.spend(1, PAIR_BYTES)?;
        self.0.push((from, to));
        Ok(())
    }

    /// Adds what a block of the index says of these numbers, which are ascending. Returns those that come after the block.
    pub(in crate::store) fn add_block<'n>(
        &mut self,
        first: u32,
        lists: &[u8],
        numbers: &'n [u32],
        budget: &SearchBudget,
    ) -> Step<&'n [u32]> {
        budget.spend(1, 0)?;
        postings::wanted_in(first, lists, numbers, |number, row| self.add(i64::from(number), row, budget))
    }

    /// Sorts the pairs, and drops those that were found twice.
    pub(in crate::store) fn settled(mut self) -> Self {
        self.0.sort_unstable();
        self.0.dedup();
        self
    }

    /// The pairs, in the order in which they are.
    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.0.iter().copied()
    }

    /// What the pairs lead to, ascending, each once.
    pub(in crate::store) fn targets(&self) -> Vec<i64> {
        let mut targets: Vec<i64> = self.0.iter().map(|(_, to)| *to).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    /// What a number leads to. Needs [`Self::settled`].
    pub(in crate::store) fn of(&self, from: i64) -> impl Iterator<Item = i64> + '_ {
        let begin = self.0.partition_point(|(number, _)| *number < from);
        self.0[begin..].iter().take_while(move |(number, _)| *number == from).map(|(_, to)| *to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_and_each_is_there_once() {
        let mut pairs = Pairs::default();
        for (from, to) in [(2, 7), (1, 9), (2, 3), (2, 7), (4, 9)] {
            pairs.add(from, to, &SearchBudget::unlimited()).expect("adds");
        }
        let pairs = pairs.settled();
        assert_eq!(pairs.iter().collect::<Vec<_>>(), [(1, 9), (2, 3), (2, 7), (4, 9)]);
        assert_eq!(pairs.targets(), [3, 7, 9]);
        assert_eq!((pairs.of(2).collect::<Vec<_>>(), pairs.of(3).count()), (vec![3, 7], 0));
    }
}
