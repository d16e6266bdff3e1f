//! Bodies as they are kept: one zstd frame with the digest of the plain bytes beside it (BAK-2).
//!
//! Packing happens where a body is made, never on the writer thread, which is the only serial resource of the store.
//! Level 1 is enough: it takes a Commerce order to a third of its size in about 12 µs.

use std::cell::RefCell;
use std::io;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use super::StoreError;
use super::write::PackedBody;
use crate::envelope::keys::Digest;

/// No body is larger, packed or plain: what a damaged length says is never believed beyond it.
pub const PLAIN_BYTES_MAX: usize = 16 * 1024 * 1024;

const LEVEL: i32 = 1;

thread_local! {
    // A context is some 100 KB of tables: made once a thread, not once a body.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Packs `plain`.
pub fn pack(plain: &[u8]) -> PackedBody {
    PackedBody { packed: compress(plain).into(), plain_bytes: plain.len(), digest: Digest::of(plain) }
}

/// The plain bytes of a frame that [`pack`] made; anything but exactly those bytes is [`StoreError::Corrupt`].
pub fn unpack(packed: &[u8], plain_bytes: usize, digest: &Digest) -> Result<Bytes, StoreError> {
    if plain_bytes > PLAIN_BYTES_MAX {
        return Err(StoreError::Corrupt(format!("a body claims {plain_bytes} bytes, more than any body has")));
    }
    let plain = decompress(packed, plain_bytes)
        .map_err(|reason| StoreError::Corrupt(format!("a body cannot be unpacked: {reason}")))?;
    if plain.len() != plain_bytes || Digest::of(&plain) != *digest {
        return Err(StoreError::Corrupt("a body does not match its digest".to_owned()));
    }
    Ok(plain.into())
}

fn compress(plain: &[u8]) -> Vec<u8> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(Compressor::new(LEVEL).expect("level 1 exists in every zstd")),
        };
        compressor.compress(plain).expect("the output buffer has the size zstd itself asks for")
    })
}

fn decompress(packed: &[u8], plain_bytes: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new()?),
        };
        decompressor.decompress(packed, plain_bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bak_2_what_was_packed_comes_back_and_nothing_else_does() {
        for plain in [&b""[..], b"{}", &[b'x'; 100_000][..]] {
            let body = pack(plain);
            assert_eq!(unpack(&body.packed, body.plain_bytes, &body.digest).unwrap(), plain);
        }
        let body = pack(b"{\"increment_id\":\"000000042\"}");
        let other = Digest::of(b"something else");
        assert!(matches!(unpack(&body.packed, body.plain_bytes, &other), Err(StoreError::Corrupt(_))));
        assert!(matches!(unpack(b"not zstd", 8, &body.digest), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn a_frame_never_unpacks_to_more_than_it_says() {
        let bomb = pack(&vec![0_u8; 1_000_000]);
        assert!(matches!(unpack(&bomb.packed, 1_000, &bomb.digest), Err(StoreError::Corrupt(_))));
        assert!(matches!(unpack(&bomb.packed, usize::MAX, &bomb.digest), Err(StoreError::Corrupt(_))));
    }
}
