//! Files that are not searched, or not completely, and how this is reported.

/// Why something was not searched, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// It is compressed by a program of this name, so its text is not visible.
    Archive(&'static str),
    /// It contains a zero byte, unlike text.
    Binary,
}

struct Magic {
    at: usize,
    bytes: &'static [u8],
    name: &'static str,
    /// Whether text in it can be searched directly.
    plain: bool,
}

const fn packed(bytes: &'static [u8], name: &'static str) -> Magic {
    Magic { at: 0, bytes, name, plain: false }
}

const MAGIC: [Magic; 13] = [
    packed(b"PK\x03\x04", "zip"),
    packed(b"PK\x05\x06", "zip"),
    packed(b"\x1f\x8b", "gzip"),
    packed(b"BZh", "bzip2"),
    packed(b"\xfd7zXZ\0", "xz"),
    packed(b"\x28\xb5\x2f\xfd", "zstd"),
    packed(b"\x04\x22\x4d\x18", "lz4"),
    packed(b"7z\xbc\xaf\x27\x1c", "7-zip"),
    packed(b"Rar!\x1a\x07", "rar"),
    packed(b"%PDF-", "pdf"),
    packed(b"PACK\0\0\0", "git pack"),
    Magic { at: 0, bytes: b"!<arch>\n", name: "ar", plain: true },
    Magic { at: 257, bytes: b"ustar", name: "tar", plain: true },
];

/// The program that compressed data with this beginning, if it was compressed.
pub fn packed_by(head: &[u8]) -> Option<Skipped> {
    magic(head).filter(|magic| !magic.plain).map(|magic| Skipped::Archive(magic.name))
}

/// The kind of a file with a zero byte.
pub fn binary(head: &[u8]) -> Skipped {
    magic(head).map_or(Skipped::Binary, |magic| Skipped::Archive(magic.name))
}

fn magic(head: &[u8]) -> Option<&'static Magic> {
    MAGIC.iter().find(|magic| head.get(magic.at..).is_some_and(|rest| rest.starts_with(magic.bytes)))
}
