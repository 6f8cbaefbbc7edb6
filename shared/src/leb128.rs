//! Numbers in as few bytes as they need (LEB128, as DWARF and WebAssembly have it), for cursors and batches of outcomes.

/// Appends `number`.
pub(crate) fn write(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number off the front of `input`; nothing when there is none, or none that fits.
pub(crate) fn read(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        let low = u64::from(byte & 0x7f);
        if shift == 63 && low > 1 {
            return None;
        }
        number |= low << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Appends how far `number` is from `from`, either way, so that neighbours are short.
pub(crate) fn write_step(out: &mut Vec<u8>, from: u64, number: u64) {
    let step = number.wrapping_sub(from).cast_signed();
    write(out, ((step << 1) ^ (step >> 63)).cast_unsigned());
}

/// Takes what [`write_step`] appended.
pub(crate) fn read_step(input: &mut &[u8], from: u64) -> Option<u64> {
    let folded = read(input)?;
    let step = (folded >> 1).cast_signed() ^ -((folded & 1).cast_signed());
    Some(from.wrapping_add(step.cast_unsigned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_steps_survive_a_round_trip(number: u64, from: u64) {
            let mut bytes = Vec::new();
            write(&mut bytes, number);
            write_step(&mut bytes, from, number);
            let mut rest = &bytes[..];
            prop_assert_eq!(read(&mut rest), Some(number));
            prop_assert_eq!(read_step(&mut rest, from), Some(number));
            prop_assert!(rest.is_empty());
        }
    }
}
