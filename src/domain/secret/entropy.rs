//! The entropy that a secret can have. Only one that was made elsewhere is in doubt.

use std::collections::BTreeSet;

use super::Secret;

impl Secret {
    /// The highest entropy that the secret can have, in bits: its length times the entropy of one character
    /// of its alphabet.
    pub fn nominal_bits(&self) -> f64 {
        self.len() * f64::from(self.alphabet()).log2()
    }

    /// The entropy, in bits, of a random string of this length with as few distinct characters. Repeated
    /// characters or words lower this bound, however many classes of characters the secret has.
    pub fn distinct_bits(&self) -> f64 {
        let distinct = u32::try_from(self.0.iter().collect::<BTreeSet<_>>().len()).unwrap_or(u32::MAX);
        // The number of ways to choose these characters from the alphabet, in bits.
        let free = f64::from(self.alphabet().saturating_sub(distinct));
        let choices: f64 = (1..=distinct).map(|n| ((free + f64::from(n)) / f64::from(n)).log2()).sum();
        choices + self.len() * f64::from(distinct).log2()
    }

    fn len(&self) -> f64 {
        f64::from(u32::try_from(self.0.len()).unwrap_or(u32::MAX))
    }

    /// The number of characters in the classes that the secret uses. Hexadecimal text has an alphabet of
    /// sixteen.
    fn alphabet(&self) -> u32 {
        let any = |class: fn(&u8) -> bool| self.0.iter().any(class);
        let hex = |upper: bool| {
            self.0.iter().all(|b| {
                b.is_ascii_hexdigit() && (!b.is_ascii_alphabetic() || b.is_ascii_uppercase() == upper)
            })
        };
        let (digit, lower, upper) =
            (any(u8::is_ascii_digit), any(u8::is_ascii_lowercase), any(u8::is_ascii_uppercase));
        if digit && (hex(true) || hex(false)) {
            if lower || upper { 16 } else { 10 }
        } else {
            [(digit, 10), (lower, 26), (upper, 26), (any(u8::is_ascii_punctuation), 32)]
                .into_iter()
                .filter_map(|(present, count)| present.then_some(count))
                .sum()
        }
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn the_nominal_entropy_depends_on_the_alphabet() {
        let bits =
            |text: &str| Secret::read(Zeroizing::new(text.as_bytes().to_vec())).unwrap().nominal_bits();
        assert!((bits(&"0123456789abcdef".repeat(2)) - 128.0).abs() < 1e-9);
        assert!(bits("0123456789abcdef0123456789abcde") < 128.0);
        assert!(bits(&"0123456789".repeat(3)) < 128.0);
        assert!(bits("aB3aB3aB3aB3aB3aB3aB3aB3") > 128.0);
    }

    #[test]
    fn few_distinct_characters_have_little_entropy_however_long_the_text_is() {
        let bits = |text: &str| Secret::read(text.as_bytes().to_vec().into()).unwrap().distinct_bits();
        assert!(bits(&"a".repeat(28)) < 5.0);
        // There are 37,820 ways to choose three of 62 characters, and then 24 choices among these three.
        assert!((bits(&"aB3".repeat(8)) - (37_820f64.log2() + 24.0 * 3f64.log2())).abs() < 1e-9);
        // Only one random key in ten million has as few distinct characters.
        assert!(bits(&"01234567".repeat(4)) > 96.0 && bits("0f3a9c1d7b2e5f8a4c6d0e1b9a7f3c5d") > 96.0);
        assert!(bits("Xk3ab9PqLm2ZrTy7Wc5NdV") > 130.0);
    }
}
