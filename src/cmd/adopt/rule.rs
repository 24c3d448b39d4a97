//! Decides which secrets of other systems are strong enough.

use crate::domain::Invalid;
use crate::domain::secret::Secret;
use crate::error::Error;

/// The least strength of a secret made elsewhere, in bits.
const LEAST_BITS: f64 = 128.0;
/// The least strength as computed from the distinct characters alone. It is lower, since a random key repeats
/// some characters: about one in ten million keys of 32 hexadecimal digits uses only seven of them.
const LEAST_DISTINCT_BITS: f64 = 96.0;

/// Returns the secret in the input, if it is strong enough. No error contains it.
pub fn secret(input: &[u8]) -> Result<Secret, Error> {
    let malformed = || {
        Invalid::new("what was read cannot be a secret")
            .hint("use 16 to 512 printable ASCII characters without a space, and with its checksum if it is one of ours")
    };
    let secret = Secret::read_pasted(input).ok_or_else(malformed)?;
    let bits = secret.nominal_bits();
    let weak = if bits < LEAST_BITS {
        // The number is rounded down, so that 127.9 is not printed as 128.
        format!("the secret has at most {:.0} bits, fewer than {LEAST_BITS}", bits.floor())
    } else if secret.distinct_bits() < LEAST_DISTINCT_BITS {
        "the secret uses too few different characters to be random".to_owned()
    } else {
        return Ok(secret);
    };
    Err(Error::Policy(Invalid::new(weak).hint("create one of 190 bits with `tokenctl create`")))
}
