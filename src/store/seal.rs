//! Bodies at rest, encrypted (DAT-1): compressed first by [`super::pack`], then sealed here, where a row is written.
//!
//! Every body has a data key of its own, made of fresh random bytes and used for this one message; so its nonce may be
//! constant, and no count of messages ever comes near a limit. The data key stands in front of the body, wrapped by the
//! key that the configuration names and that is never in the store. Destroying the row's bytes destroys the only copy of
//! the data key in this file. Both layers are AES-256-GCM. Associated data names what the body is and whose row it stands
//! in: a body moved to another row, or read as something else, does not open.
//!
//! ```text
//! 'X' 1 | key id 8 | wrapping nonce 12 | wrapped data key 32 + 16 | body + 16
//! ```
//!
//! The wrapping nonce is random: with one wrapping key, 2^32 bodies are the bound that the standard gives, more than a
//! thousand million orders. Another key (`crossdock keys rewrap`) starts the count anew; bodies are not decrypted for it.
//!
//! A body that is gone leaves one byte: 0 when its retention was over, 1 when it was erased on request.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::StoreError;
use super::pack::unpack;
use crate::clock::Entropy;
use crate::envelope::keys::Digest;

/// How a sealed body begins; a packed one begins with zstd's own mark.
pub const MARK: [u8; 2] = [b'X', 1];
/// What is left of a body whose retention is over.
pub const EXPIRED: [u8; 1] = [0];
/// What is left of a body that was erased.
pub const ERASED: [u8; 1] = [1];
/// How a sealed text begins.
const TEXT: &str = "sealed:";
const ID: usize = 8;
const TAG: usize = 16;
const WRAPPED: usize = 32 + TAG;
const HEAD: usize = MARK.len() + ID + NONCE_LEN + WRAPPED;

/// Names a wrapping key without telling it: eight bytes of its digest.
pub type KeyId = [u8; ID];

/// The wrapping keys: the first seals, all open. Without any, bodies are stored as they are packed.
#[derive(Default)]
pub struct Keys(Vec<(KeyId, LessSafeKey)>, Option<[u8; 32]>);

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.ids()).finish()
    }
}

/// The id of a wrapping key.
pub fn key_id(key: &[u8; 32]) -> KeyId {
    let digest = Digest::of_fields(&["crossdock.wrapping-key.v1", &data_encoding::HEXLOWER.encode(key)]);
    digest.0[..ID].try_into().expect("a digest is longer")
}

impl Keys {
    /// The first seals; none: nothing is encrypted.
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k [u8; 32]>) -> Self {
        let mut search = None;
        let keys = keys.into_iter().map(|key| {
            // What buyers are found by is keyed by the first; another first key has them written anew.
            search.get_or_insert_with(|| keyed(key, b"crossdock.search.v1"));
            (key_id(key), cipher(key))
        });
        let keys = keys.collect();
        Keys(keys, search)
    }

    /// The key of what buyers are found by; none where nothing is encrypted.
    pub fn search(&self) -> Option<&[u8; 32]> {
        self.1.as_ref()
    }

    /// Whether new bodies are encrypted.
    pub fn encrypt(&self) -> bool {
        !self.0.is_empty()
    }

    /// Ids in hex, the one that seals first.
    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(|(id, _)| data_encoding::HEXLOWER.encode(id)).collect()
    }

    /// A packed body as it is to be stored in the row that `binding` names.
    pub fn seal(&self, packed: Bytes, what: &str, binding: &[u8], entropy: &dyn Entropy) -> Bytes {
        let Some((id, wrapping)) = self.0.first() else { return packed };
        let mut random = [0_u8; 32 + NONCE_LEN];
        entropy.fill(&mut random);
        let (data_key, nonce) = random.split_at(32);
        let mut sealed = Vec::with_capacity(HEAD + packed.len() + TAG);
        sealed.extend_from_slice(&wrap(*id, wrapping, data_key, nonce));
        let mut body = packed.to_vec();
        let data_key = cipher(data_key.try_into().expect("32 bytes were split off"));
        data_key
            .seal_in_place_append_tag(once(), Aad::from(associated(what, binding)), &mut body)
            .expect("a body is far shorter than the cipher's limit");
        sealed.extend_from_slice(&body);
        sealed.into()
    }

    /// The packed body behind what a row holds.
    ///
    /// # Errors
    /// [`StoreError::NotAllowed`] when it is gone, [`StoreError::Corrupt`] when it does not open.
    pub fn open<'b>(&self, stored: &'b [u8], what: &str, binding: &[u8]) -> Result<Cow<'b, [u8]>, StoreError> {
        if let Some(words) = gone(stored) {
            return Err(StoreError::NotAllowed(format!("the {what} was {words}")));
        }
        if !stored.starts_with(&MARK) {
            return Ok(Cow::Borrowed(stored));
        }
        let damaged = || StoreError::Corrupt(format!("the encrypted {what} does not open"));
        let (head, body) = stored.split_at_checked(HEAD).ok_or_else(damaged)?;
        let data_key = cipher(&self.unwrap(head, what)?);
        let mut body = body.to_vec();
        let plain = data_key
            .open_in_place(once(), Aad::from(associated(what, binding)), &mut body)
            .map_err(|_| damaged())?
            .len();
        body.truncate(plain);
        Ok(Cow::Owned(body))
    }

    /// The plain bytes behind what a row holds (BAK-2).
    ///
    /// # Errors
    /// As [`Keys::open`], and when they do not match their digest.
    pub fn unpack(&self, stored: &[u8], what: &str, binding: &[u8], shape: Shape) -> Result<Bytes, StoreError> {
        unpack(&self.open(stored, what, binding)?, shape.plain_bytes, &shape.digest)
    }

    /// A text as it is to be stored.
    pub fn seal_text(&self, text: String, what: &str, binding: &[u8], entropy: &dyn Entropy) -> String {
        if !self.encrypt() {
            return text;
        }
        let sealed = self.seal(text.into_bytes().into(), what, binding, entropy);
        format!("{TEXT}{}", data_encoding::BASE64.encode(&sealed))
    }

    /// The text behind what a row holds; one that does not open says so itself, since it is shown and never acted on.
    pub fn open_text(&self, stored: String, what: &str, binding: &[u8]) -> String {
        let Some(encoded) = stored.strip_prefix(TEXT) else { return stored };
        let opened = data_encoding::BASE64
            .decode(encoded.as_bytes())
            .map_err(|_| StoreError::Corrupt(format!("the encrypted {what} is not base64")))
            .and_then(|sealed| self.open(&sealed, what, binding).map(Cow::into_owned));
        match opened {
            Ok(plain) => String::from_utf8_lossy(&plain).into_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// The same body under the key that seals now; `None`: it is already, or is not encrypted.
    ///
    /// # Errors
    /// When the key it is wrapped with is not among ours.
    pub fn rewrap(&self, stored: &[u8], what: &str, entropy: &dyn Entropy) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((id, wrapping)) = self.0.first() else { return Ok(None) };
        if !stored.starts_with(&MARK) || stored.get(MARK.len()..MARK.len() + ID) == Some(id) {
            return Ok(None);
        }
        let (head, body) = stored
            .split_at_checked(HEAD)
            .ok_or_else(|| StoreError::Corrupt(format!("the encrypted {what} does not open")))?;
        let data_key = self.unwrap(head, what)?;
        let mut nonce = [0_u8; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut stored = wrap(*id, wrapping, &data_key, &nonce);
        stored.extend_from_slice(body);
        Ok(Some(stored))
    }

    fn unwrap(&self, head: &[u8], what: &str) -> Result<[u8; 32], StoreError> {
        let (id, rest) = head[MARK.len()..].split_at(ID);
        let (nonce, wrapped) = rest.split_at(NONCE_LEN);
        let named = data_encoding::HEXLOWER.encode(id);
        let (known, wrapping) = self.0.iter().find(|(known, _)| known == id).ok_or_else(|| {
            StoreError::NotAllowed(format!(
                "the {what} is encrypted under key {named}, which store.encryption_key does not name"
            ))
        })?;
        let mut key = wrapped.to_vec();
        wrapping
            .open_in_place(of(nonce), Aad::from(known), &mut key)
            .ok()
            .and_then(|key| <[u8; 32]>::try_from(&*key).ok())
            .ok_or_else(|| StoreError::Corrupt(format!("the data key of the {what} does not open")))
    }
}

/// What a stored body must come to.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Length of the plain bytes.
    pub plain_bytes: usize,
    /// SHA-256 of the plain bytes.
    pub digest: Digest,
}

impl Shape {
    /// From two columns.
    pub fn new(plain_bytes: i64, digest: [u8; 32]) -> Self {
        Shape { plain_bytes: usize::try_from(plain_bytes).unwrap_or(usize::MAX), digest: Digest(digest) }
    }
}

/// Why a body is no longer there, in words; `None`: it is there.
pub fn gone(stored: &[u8]) -> Option<&'static str> {
    if stored == EXPIRED {
        Some("removed: its retention is over")
    } else if stored == ERASED {
        Some("erased")
    } else {
        None
    }
}

/// HMAC-SHA-256.
pub fn keyed(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are a key of this cipher"))
}

/// A data key is used once, so any nonce will do.
fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn of(nonce: &[u8]) -> Nonce {
    Nonce::try_assume_unique_for_key(nonce).expect("the slice has the length of a nonce")
}

fn wrap(id: KeyId, wrapping: &LessSafeKey, data_key: &[u8], nonce: &[u8]) -> Vec<u8> {
    let mut wrapped = data_key.to_vec();
    wrapping
        .seal_in_place_append_tag(of(nonce), Aad::from(&id), &mut wrapped)
        .expect("a key is far shorter than the cipher's limit");
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(&MARK);
    head.extend_from_slice(&id);
    head.extend_from_slice(nonce);
    head.extend_from_slice(&wrapped);
    head
}

/// What a body is and whose row it stands in, each with its length.
fn associated(what: &str, binding: &[u8]) -> [u8; 32] {
    Digest::of_fields(&["crossdock.body.v1", what, &data_encoding::HEXLOWER.encode(binding)]).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededEntropy;
    use crate::store::pack::pack;

    fn keys(seeds: &[u8]) -> Keys {
        let keys: Vec<[u8; 32]> = seeds.iter().map(|seed| [*seed; 32]).collect();
        Keys::new(&keys)
    }

    #[test]
    fn dat_1_a_sealed_body_opens_in_its_row_only_and_with_its_key_only() {
        let entropy = SeededEntropy::new(1);
        let body = pack(b"{\"email\":\"anna@example.com\"}");
        let shape = Shape { plain_bytes: body.plain_bytes, digest: body.digest };
        let ours = keys(&[1]);
        let sealed = ours.seal(body.packed.clone(), "payload", b"row 1", &entropy);
        assert!(!sealed.windows(4).any(|window| window == b"anna"));
        assert_eq!(&ours.unpack(&sealed, "payload", b"row 1", shape).unwrap()[..], b"{\"email\":\"anna@example.com\"}");
        for (what, binding) in [("payload", &b"row 2"[..]), ("document", b"row 1")] {
            assert!(matches!(ours.open(&sealed, what, binding), Err(StoreError::Corrupt(_))), "{what}");
        }
        assert!(matches!(keys(&[2]).open(&sealed, "payload", b"row 1"), Err(StoreError::NotAllowed(_))));
        for at in 0..sealed.len() {
            let mut bent = sealed.to_vec();
            bent[at] ^= 1;
            assert!(ours.unpack(&bent, "payload", b"row 1", shape).is_err(), "byte {at}");
        }
        assert_ne!(sealed, ours.seal(body.packed.clone(), "payload", b"row 1", &entropy), "a data key of its own");
        // Without a key everything is as it was; what was stored plain is readable with one.
        assert_eq!(Keys::default().seal(body.packed.clone(), "payload", b"row 1", &entropy), body.packed);
        assert!(ours.unpack(&body.packed, "payload", b"row 1", shape).is_ok());
    }

    #[test]
    fn dat_1_rewrapping_changes_the_key_and_keeps_the_body() {
        let entropy = SeededEntropy::new(1);
        let body = pack(b"{}");
        let sealed = keys(&[1]).seal(body.packed.clone(), "payload", b"row", &entropy);
        let both = keys(&[2, 1]);
        let rewrapped = both.rewrap(&sealed, "payload", &entropy).unwrap().unwrap();
        assert_eq!(keys(&[2]).open(&rewrapped, "payload", b"row").unwrap(), &body.packed[..]);
        assert!(keys(&[1]).open(&rewrapped, "payload", b"row").is_err());
        assert_eq!(both.rewrap(&rewrapped, "payload", &entropy).unwrap(), None);
        assert_eq!(both.rewrap(&body.packed, "payload", &entropy).unwrap(), None);
    }

    #[test]
    fn dat_1_what_is_gone_says_so_and_texts_are_sealed_too() {
        let (ours, entropy) = (keys(&[1]), SeededEntropy::new(1));
        let erased = ours.open(&ERASED, "payload", b"row").unwrap_err().to_string();
        assert_eq!(erased, "the payload was erased");
        let sealed = ours.seal_text("Anna".to_owned(), "response", b"row", &entropy);
        assert!(sealed.starts_with("sealed:") && !sealed.contains("Anna"));
        assert_eq!(ours.open_text(sealed.clone(), "response", b"row"), "Anna");
        assert!(Keys::default().open_text(sealed, "response", b"row").contains("does not name"));
    }

    #[test]
    fn dat_1_a_sealed_body_is_a_fixed_head_longer_and_costs_microseconds() {
        let (ours, entropy) = (keys(&[1]), crate::clock::SystemEntropy);
        let body = pack(include_bytes!("../demo/orders/simple.json"));
        let began = std::time::Instant::now();
        let sealed: Vec<Bytes> =
            (0..2_000).map(|_| ours.seal(body.packed.clone(), "payload", b"row", &entropy)).collect();
        let sealing = began.elapsed() / 2_000;
        assert!(sealed.iter().all(|sealed| ours.open(sealed, "payload", b"row").is_ok()));
        println!(
            "sealing {sealing:?}, opening {:?} a body of {}",
            (began.elapsed() / 2_000).saturating_sub(sealing),
            sealed[0].len()
        );
        assert_eq!(sealed[0].len(), body.packed.len() + HEAD + TAG);
    }
}
