//! The body of a request, as far as it has arrived.

use zeroize::Zeroizing;

use super::{Framing, HEAD, Status, consume, reserve};

/// The longest body, in bytes.
pub const BODY: usize = 1 << 20;

pub struct Body {
    data: Zeroizing<Vec<u8>>,
    left: Left,
}

/// The part that has not arrived.
enum Left {
    /// This many bytes.
    Bytes(usize),
    Chunk(Chunk),
}

/// The position in a chunked body (RFC 9112, section 7.1).
enum Chunk {
    Size,
    /// This many bytes of data, and the newline after them.
    Data(usize),
    /// The end of the body. Headers that come before it are refused.
    Trailer,
}

const LINE_END: &[u8] = b"\r\n";

impl Body {
    /// The body after a head. Fails if it is known to be too long.
    pub fn new(framing: Framing) -> Result<Self, Status> {
        let left = match framing {
            Framing::Empty => Left::Bytes(0),
            Framing::Chunked => Left::Chunk(Chunk::Size),
            Framing::Length(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= BODY);
                Left::Bytes(length.ok_or(Status::BodyTooLarge)?)
            }
        };
        Ok(Self { data: Zeroizing::default(), left })
    }

    /// Takes the bytes that belong to the body. Returns whether the body is complete. Fails if it is too long or
    /// invalid.
    pub fn take(&mut self, input: &mut Vec<u8>) -> Result<bool, Status> {
        let mut used = 0;
        let whole = self.read(input, &mut used);
        consume(input, used);
        whole
    }

    pub fn data(&self) -> &[u8] {
        &self.data
    }

    fn read(&mut self, input: &[u8], used: &mut usize) -> Result<bool, Status> {
        loop {
            let rest = &input[*used..];
            match &mut self.left {
                Left::Bytes(left) => {
                    let length = rest.len().min(*left);
                    append(&mut self.data, &rest[..length]);
                    *used += length;
                    *left -= length;
                    return Ok(*left == 0);
                }
                Left::Chunk(chunk) => match chunk.read(rest, &mut self.data)? {
                    Step::More => return Ok(false),
                    Step::Next(length, next) => {
                        *used += length;
                        *chunk = next;
                    }
                    Step::End(length) => {
                        *used += length;
                        self.left = Left::Bytes(0);
                    }
                },
            }
        }
    }
}

enum Step {
    /// More bytes are needed.
    More,
    /// This many bytes are used, and this is the next state.
    Next(usize, Chunk),
    End(usize),
}

impl Chunk {
    fn read(&mut self, rest: &[u8], data: &mut Zeroizing<Vec<u8>>) -> Result<Step, Status> {
        match self {
            Self::Size => match httparse::parse_chunk_size(rest) {
                Ok(httparse::Status::Complete((length, _))) if !is_size(&rest[..length]) => {
                    Err(Status::BodyTooLarge)
                }
                Ok(httparse::Status::Complete((length, 0))) => Ok(Step::Next(length, Self::Trailer)),
                Ok(httparse::Status::Complete((length, size))) => {
                    let size = usize::try_from(size).ok().filter(|size| *size <= BODY - data.len());
                    Ok(Step::Next(length, Self::Data(size.ok_or(Status::BodyTooLarge)?)))
                }
                Ok(httparse::Status::Partial) if rest.len() < HEAD => Ok(Step::More),
                _ => Err(Status::BodyTooLarge),
            },
            Self::Data(left) => {
                let length = rest.len().min(*left);
                append(data, &rest[..length]);
                *left -= length;
                let end = &rest[length..];
                match end.get(..LINE_END.len()) {
                    _ if *left > 0 => Ok(Step::Next(length, Self::Data(*left)).unless_stuck(length)),
                    None => Ok(Step::Next(length, Self::Data(0)).unless_stuck(length)),
                    Some(LINE_END) => Ok(Step::Next(length + LINE_END.len(), Self::Size)),
                    Some(_) => Err(Status::BodyTooLarge),
                }
            }
            Self::Trailer => match rest.get(..LINE_END.len()) {
                None => Ok(Step::More),
                Some(LINE_END) => Ok(Step::End(LINE_END.len())),
                Some(_) => Err(Status::BodyTooLarge),
            },
        }
    }
}

/// Whether every program reads this line, up to its end, as the size of a chunk.
fn is_size(line: &[u8]) -> bool {
    let line = line.strip_suffix(LINE_END).unwrap_or_default();
    line.first().is_some_and(u8::is_ascii_hexdigit) && !line.iter().any(|byte| matches!(byte, b'\r' | b'\n'))
}

fn append(data: &mut Zeroizing<Vec<u8>>, bytes: &[u8]) {
    reserve(data, bytes.len());
    data.extend_from_slice(bytes);
}

impl Step {
    /// Further bytes are needed.
    fn unless_stuck(self, used: usize) -> Self {
        if used == 0 { Self::More } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body and the bytes after it, or the error, if the bytes arrive in pieces of this length.
    fn of(framing: Framing, text: &str, piece: usize) -> String {
        let mut body = match Body::new(framing) {
            Ok(body) => body,
            Err(status) => return status.code().to_string(),
        };
        let (mut input, mut pieces) = (Vec::new(), text.as_bytes().chunks(piece));
        loop {
            match body.take(&mut input) {
                Err(status) => return status.code().to_string(),
                Ok(true) => {
                    input.extend(pieces.flatten());
                    return [body.data(), &input].map(String::from_utf8_lossy).join("|");
                }
                Ok(false) => match pieces.next() {
                    Some(piece) => input.extend(piece),
                    None => return "partial".to_owned(),
                },
            }
        }
    }

    #[test]
    fn a_body_ends_where_it_says_however_its_bytes_arrive() {
        let chunked = "3\r\nabc\r\n0A;x=1\r\n0123456789\r\n0\r\n\r\nrest";
        for piece in 1..=chunked.len() {
            assert_eq!(of(Framing::Length(3), "abcrest", piece), "abc|rest");
            assert_eq!(of(Framing::Chunked, chunked, piece), "abc0123456789|rest", "{piece}");
            assert_eq!(of(Framing::Chunked, "0\r\n\r\n", piece), "|");
            assert_eq!(of(Framing::Length(3), "ab", piece), "partial");
            assert_eq!(of(Framing::Chunked, "3\r\nabc\r\n0\r\n", piece), "partial");
        }
    }

    #[test]
    fn a_broken_or_long_body_is_refused() {
        for text in [
            "zz\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "-1\r\n",
            "fffffffffffffffff\r\n",
            "100001\r\n",
            // Other programs could read these in a different way.
            "\r\n\r\n",
            ";x\r\n\r\n",
            "2;\n[]\r\n[]\r\n0\r\n\r\n",
            "0\r\nX: 1\r\n\r\n",
        ] {
            assert_eq!(of(Framing::Chunked, text, text.len()), "413", "{text}");
        }
        let two = format!("80000\r\n{}\r\n80001\r\n", "x".repeat(0x8_0000));
        assert_eq!(of(Framing::Chunked, &two, two.len()), "413");
        let trailer = format!("0\r\nX: {}", "x".repeat(HEAD));
        assert_eq!(of(Framing::Chunked, &trailer, trailer.len()), "413");
        assert_eq!(of(Framing::Length(BODY as u64 + 1), "", 1), "413");
    }
}
