//! Reading bytes from the left. Pure.

/// What is left of some bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a>(pub(crate) &'a [u8]);

impl<'a> Scan<'a> {
    /// Steps over `literal`, which must come next.
    pub(crate) fn expect(&mut self, literal: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    /// Steps behind the next `literal`, wherever it is.
    pub(crate) fn behind(&mut self, literal: &[u8]) -> Option<()> {
        let at = memchr::memmem::find(self.0, literal)?;
        self.0 = self.0.get(at + literal.len()..)?;
        Some(())
    }

    /// A number in digits; at least one.
    pub(crate) fn number(&mut self) -> Option<u64> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(digits);
        let mut value = (digits > 0).then_some(0_u64);
        for digit in number {
            value = value?.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        }
        self.0 = rest;
        value
    }

    /// Everything up to `end`, stepping over it.
    pub(crate) fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let at = memchr::memchr(end, self.0)?;
        let found = self.0.get(..at)?;
        self.0 = self.0.get(at + 1..)?;
        Some(found)
    }
}

/// Appends `number` in digits.
pub(crate) fn digits(number: u64, into: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    into.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for number in [0, 7, 10, 1_000_000, u64::MAX] {
            let mut written = Vec::new();
            digits(number, &mut written);
            assert_eq!(String::from_utf8_lossy(&written), number.to_string());
            assert_eq!(Scan(&written).number(), Some(number));
        }
        assert_eq!(Scan(b"").number(), None);
        assert_eq!(Scan(b"x").number(), None);
        assert_eq!(Scan(b"18446744073709551616").number(), None);
    }
}
