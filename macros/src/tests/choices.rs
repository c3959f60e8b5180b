//! Choices made from a sequence of bytes. After the last byte, every choice is the first alternative.

pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns a number below `limit`, which must not be zero.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let wide = limit > usize::from(u8::MAX);
        let high = if wide { usize::from(self.byte()) << 8 } else { 0 };
        (high | usize::from(self.byte())) % limit
    }

    pub(crate) fn pick<'t, T>(&mut self, alternatives: &'t [T]) -> &'t T {
        &alternatives[self.below(alternatives.len())]
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }
}
