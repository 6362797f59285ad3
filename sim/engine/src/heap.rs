//! A heap of four children to a parent: half as many levels as with two, and the keys of all four in one line of cache.

/// Four keys in one line of cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Four([u128; 4]);

/// No key: larger than all there are.
const NONE: u128 = u128::MAX;

/// Words by key, the least key first. No two keys are equal.
///
/// The parent of group `g` is entry `g - 1`, so entry `i` stands at place `i + 3`: the root is the last of group 0, whose others
/// are never used.
#[derive(Debug)]
pub(crate) struct Heap {
    keys: Vec<Four>,
    words: Vec<u64>,
}

impl Default for Heap {
    fn default() -> Self {
        Self { keys: vec![Four([NONE; 4])], words: vec![0; Self::ROOT] }
    }
}

impl Heap {
    const ROOT: usize = 3;

    /// The least key.
    #[inline]
    pub(crate) fn first(&self) -> Option<u128> {
        (self.words.len() > Self::ROOT).then(|| self.key(Self::ROOT))
    }

    #[inline]
    fn key(&self, place: usize) -> u128 {
        self.keys[place / 4].0[place % 4]
    }

    #[inline]
    fn set(&mut self, place: usize, key: u128, word: u64) {
        self.keys[place / 4].0[place % 4] = key;
        self.words[place] = word;
    }

    pub(crate) fn push(&mut self, key: u128, word: u64) {
        let mut place = self.words.len();
        self.words.push(word);
        if place / 4 == self.keys.len() {
            self.keys.push(Four([NONE; 4]));
        }
        while place > Self::ROOT {
            let parent = place / 4 - 1 + Self::ROOT;
            let above = self.key(parent);
            if above < key {
                break;
            }
            self.set(place, above, self.words[parent]);
            place = parent;
        }
        self.set(place, key, word);
    }

    /// Takes the least key and its word.
    pub(crate) fn pop(&mut self) -> Option<(u128, u64)> {
        let first = (self.first()?, self.words[Self::ROOT]);
        let last = self.words.len() - 1;
        let (key, word) = (self.key(last), self.words[last]);
        self.set(last, NONE, 0);
        self.words.pop();
        if last > Self::ROOT {
            self.sink(key, word);
        }
        Some(first)
    }

    /// Puts what was last where it belongs, from the root on.
    fn sink(&mut self, key: u128, word: u64) {
        let mut place = Self::ROOT;
        while let Some(Four(below)) = self.keys.get(place - Self::ROOT + 1) {
            let [a, b] = [usize::from(below[1] < below[0]), 2 + usize::from(below[3] < below[2])];
            let least = if below[b] < below[a] { b } else { a };
            let next = below[least];
            if key < next {
                break;
            }
            let child = 4 * (place - Self::ROOT + 1) + least;
            self.set(place, next, self.words[child]);
            place = child;
        }
        self.set(place, key, word);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_come_in_their_order(steps in prop::collection::vec(prop::option::of(any::<u32>()), 0..400)) {
            let (mut heap, mut sorted) = (Heap::default(), std::collections::BTreeMap::new());
            for (sequence, step) in (0_u64..).zip(steps) {
                match step {
                    Some(time) => {
                        let key = u128::from(time) << 64 | u128::from(sequence);
                        heap.push(key, sequence);
                        sorted.insert(key, sequence);
                    }
                    None => prop_assert_eq!(heap.pop(), sorted.pop_first()),
                }
                prop_assert_eq!(heap.first(), sorted.keys().next().copied());
            }
            while let Some(next) = sorted.pop_first() {
                prop_assert_eq!(heap.pop(), Some(next));
            }
            prop_assert_eq!(heap.pop(), None);
        }
    }
}
