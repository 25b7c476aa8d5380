//! A set of row numbers: one bit for each number up to the greatest. A pass over millions of rows notes here which numbers
//! are referred to.

/// See the head of the file.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct NumberSet {
    words: Vec<u64>,
}

impl NumberSet {
    /// Adds a number. A negative one is left out, because no row has it.
    pub(in crate::store) fn insert(&mut self, number: i64) {
        let Some((word, bit)) = place(number) else { return };
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
    }

    pub(in crate::store) const fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Adds all numbers of another set.
    pub(in crate::store) fn extend(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        self.words.iter_mut().zip(&other.words).for_each(|(mine, theirs)| *mine |= theirs);
    }

    pub(in crate::store) fn contains(&self, number: i64) -> bool {
        place(number).is_some_and(|(word, bit)| self.words.get(word).is_some_and(|bits| bits & bit != 0))
    }

    /// The numbers, ascending.
    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        (0_i64..).step_by(64).zip(&self.words).flat_map(|(first, bits)| {
            let mut rest = *bits;
            std::iter::from_fn(move || {
                let at = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(first + i64::from(at))
            })
        })
    }
}

impl FromIterator<i64> for NumberSet {
    fn from_iter<T: IntoIterator<Item = i64>>(numbers: T) -> Self {
        let mut set = Self::default();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }
}

fn place(number: i64) -> Option<(usize, u64)> {
    let number = usize::try_from(number).ok()?;
    Some((number / 64, 1 << (number % 64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_numbers_that_were_added_and_no_others() {
        let numbers = [0, 1, 63, 64, 65, 1_000];
        let set: NumberSet = numbers.into_iter().chain([-1]).collect();
        let found: Vec<i64> = (-2..2_000).filter(|number| set.contains(*number)).collect();
        assert_eq!(found, numbers);
        assert_eq!(set.iter().collect::<Vec<_>>(), numbers);
        let (mut small, large): (NumberSet, NumberSet) =
            ([1, 70].into_iter().collect(), [2, 700].into_iter().collect());
        small.extend(&large);
        assert_eq!((-2..2_000).filter(|number| small.contains(*number)).collect::<Vec<i64>>(), [1, 2, 70, 700]);
    }
}
