//! Numbers in digits, where there are several in every line: a printer of formats takes ten times as long.

/// Adds a number at the end of a text.
pub fn number_into(out: &mut String, number: u64) {
    each(number, &mut |digit| out.push(char::from(digit)));
}

/// Tells the digits of a number, as characters, the first one first.
pub fn each(number: u64, tell: &mut impl FnMut(u8)) {
    if number > 9 {
        each(number / 10, tell);
    }
    // A digit fits.
    tell(b'0' + u8::try_from(number % 10).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_usual() {
        for number in [0, 9, 10, 407, 1_000, u64::MAX] {
            let mut out = String::from("#");
            number_into(&mut out, number);
            assert_eq!(out, format!("#{number}"));
        }
    }
}
