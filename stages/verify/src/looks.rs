//! What a file is that is no snapshot, told by how it begins. A database begins with eight zero
//! bytes, so that none of these can be one.

/// What begins with what, and how to get at a snapshot in it.
const KNOWN: [(&[u8], &str, &str); 7] = [
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it with `lifeboat-compress -d` or `zstd -d`"),
    (b"age-encryption.org/", "an encrypted age file", OPEN),
    (b"-----BEGIN AGE ENCRYPTED FILE", "an encrypted age file", OPEN),
    (b"\x1f\x8b", "a gzip file", "unpack it with `gunzip`"),
    (b"\xfd7zXZ\0", "an xz file", "unpack it with `unxz`"),
    (b"BZh", "a bzip2 file", "unpack it with `bunzip2`"),
    (b"PK\x03\x04", "a zip file", "unpack it with `unzip`"),
];
const OPEN: &str = "decrypt it with `lifeboat-encrypt -d` or `age -d`, and unpack it then";

/// What begins like this, and the next step; `None` for everything that may be a snapshot.
pub(crate) fn like(begin: &[u8]) -> Option<(&'static str, &'static str)> {
    KNOWN.iter().find(|(magic, ..)| begin.starts_with(magic)).map(|(_, what, next)| (*what, *next))
}
