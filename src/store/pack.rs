//! Bodies as they are kept: one zstd frame with the digest of the plain bytes beside it (BAK-2).
//!
//! Packing happens where a body is made, never on the writer thread, which is the only serial resource of the store.
//! Level 1 with a dictionary is enough: orders share their names, and the dictionary, trained on the sample orders and the
//! documents made of them, knows those already. It takes half the time and two thirds of the space of level 1 alone.
//!
//! A dictionary is part of the file format. `orders-1.dict` never changes: a better one gets a file and an id of its own,
//! and frames say which they need. Frames without an id, as they were made before there was one, stay readable.

use std::cell::RefCell;
use std::io;
use std::sync::LazyLock;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::get_dict_id_from_frame;

use super::StoreError;
use super::write::PackedBody;
use crate::envelope::keys::Digest;

/// No body is larger, packed or plain: what a damaged length says is never believed beyond it.
pub const PLAIN_BYTES_MAX: usize = 16 * 1024 * 1024;

const LEVEL: i32 = 1;

static DICTIONARY: &[u8] = include_bytes!("pack/orders-1.dict");
/// Digested once a process.
static PACKING: LazyLock<EncoderDictionary<'static>> = LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static UNPACKING: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

thread_local! {
    // A context is some 100 KB of tables: made once a thread, not once a body.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    static PLAIN_DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
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
            None => slot.insert(Compressor::with_prepared_dictionary(&PACKING).expect("the dictionary is one of ours")),
        };
        compressor.compress(plain).expect("the output buffer has the size zstd itself asks for")
    })
}

fn decompress(packed: &[u8], plain_bytes: usize) -> io::Result<Vec<u8>> {
    if get_dict_id_from_frame(packed).is_none() {
        return PLAIN_DECOMPRESSOR.with_borrow_mut(|slot| {
            let decompressor = match slot {
                Some(decompressor) => decompressor,
                None => slot.insert(Decompressor::new()?),
            };
            decompressor.decompress(packed, plain_bytes)
        });
    }
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::with_prepared_dictionary(&UNPACKING)?),
        };
        decompressor.decompress(packed, plain_bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bak_2_what_was_packed_comes_back_and_nothing_else_does() {
        for plain in [&b""[..], b"{}", &vec![b'x'; 100_000]] {
            let body = pack(plain);
            assert_eq!(unpack(&body.packed, body.plain_bytes, &body.digest).unwrap(), plain);
        }
        let body = pack(b"{\"increment_id\":\"000000042\"}");
        let other = Digest::of(b"something else");
        assert!(matches!(unpack(&body.packed, body.plain_bytes, &other), Err(StoreError::Corrupt(_))));
        assert!(matches!(unpack(b"not zstd", 8, &body.digest), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn frames_of_before_the_dictionary_are_read_and_the_dictionary_is_the_one_they_name() {
        let plain = b"{\"increment_id\":\"000000042\"}";
        let before = zstd::bulk::compress(plain, LEVEL).unwrap();
        assert_eq!(unpack(&before, plain.len(), &Digest::of(plain)).unwrap(), &plain[..]);
        let named = get_dict_id_from_frame(&pack(plain).packed);
        assert_eq!(named, zstd::zstd_safe::get_dict_id_from_dict(DICTIONARY));
        let digest = "8c387f12697523f5a2b49b58941fcd27fca9aa74eb6d525f76be633b60f6af11";
        assert_eq!(Digest::of(DICTIONARY).hex(), digest, "what is packed with it could not be read any more");
    }

    #[test]
    fn a_frame_never_unpacks_to_more_than_it_says() {
        let bomb = pack(&vec![0_u8; 1_000_000]);
        assert!(matches!(unpack(&bomb.packed, 1_000, &bomb.digest), Err(StoreError::Corrupt(_))));
        assert!(matches!(unpack(&bomb.packed, usize::MAX, &bomb.digest), Err(StoreError::Corrupt(_))));
    }
}
