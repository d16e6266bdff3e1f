//! Passwords: which are refused, and how they are kept (API-4).
//!
//! Argon2id with 19 MiB, two passes, one lane: OWASP's first choice. A hash costs tens of milliseconds and its memory, so
//! at most [`AT_ONCE`] run at a time, on threads made for waiting; a few more wait, and the next is told to come again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::clock::{Entropy, SharedEntropy};

/// Hashes at a time: 38 MiB.
const AT_ONCE: usize = 2;

/// Calls that hash or wait for it; the next is refused. Two seconds' worth on a slow machine.
const IN_HAND_MAX: usize = 24;

/// Characters a password has at least.
pub const CHARS_MIN: usize = 12;

/// Bytes a password has at most: enough for a sentence, too little to keep a processor busy.
pub const BYTES_MAX: usize = 1024;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// Words that long passwords are commonly made of; a password of nothing else is refused.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "passw0rd",
    "p@ssword",
    "p@ssw0rd",
    "welcome",
    "willkommen",
    "letmein",
    "qwerty",
    "qwertz",
    "azerty",
    "asdfgh",
    "zxcvbn",
    "yxcvbn",
    "admin",
    "administrator",
    "root",
    "user",
    "login",
    "secret",
    "geheim",
    "changeme",
    "default",
    "master",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "iloveyou",
    "princess",
    "sunshine",
    "shadow",
    "superman",
    "batman",
    "trustno1",
    "starwars",
    "hello",
    "freedom",
    "whatever",
    "michael",
    "jordan",
    "summer",
    "winter",
    "spring",
    "autumn",
    "sommer",
    "computer",
    "internet",
    "access",
    "test",
    "temp",
    "guest",
    "crossdock",
    "commerce",
    "magento",
    "adobe",
    "patchworks",
    "correcthorsebatterystaple",
    "1q2w3e4r",
    "q1w2e3r4",
    "qwertyuiop",
    "asdfghjkl",
    "abc",
    "xyz",
    "the",
    "my",
    "is",
    "pass",
    "word",
];

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// Too short.
    #[error("a password has at least {CHARS_MIN} characters: a few unrelated words are easy to keep in mind")]
    Short,
    /// Too long.
    #[error("a password has at most {BYTES_MAX} bytes")]
    Long,
    /// Among the first that anybody tries.
    #[error("this password is among the first that anybody tries: choose a few unrelated words")]
    Common,
    /// Holds the name it protects.
    #[error("the password holds the name it protects: choose a few unrelated words")]
    Name,
    /// Has characters that no keyboard types twice alike.
    #[error("a password has no control characters")]
    Control,
}

/// Whether a password is good enough for the user of this name.
///
/// # Errors
/// Why it is not.
pub fn check(password: &str, name: &str) -> Result<(), Weak> {
    if password.len() > BYTES_MAX {
        return Err(Weak::Long);
    }
    if password.chars().any(char::is_control) {
        return Err(Weak::Control);
    }
    if password.chars().count() < CHARS_MIN {
        return Err(Weak::Short);
    }
    let plain = password.to_lowercase();
    let name = name.to_lowercase();
    if name.chars().count() >= 4 && plain.contains(&name) {
        return Err(Weak::Name);
    }
    // What is left once common words, digits, signs and repeated letters are gone is what has to be guessed.
    let mut words = COMMON.to_vec();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let left = words.iter().fold(plain, |left, word| left.replace(word, " "));
    let mut letters: Vec<char> = left.chars().filter(|letter| letter.is_alphabetic()).collect();
    letters.sort_unstable();
    letters.dedup();
    let mut all: Vec<char> = password.chars().collect();
    all.sort_unstable();
    all.dedup();
    let mixed = all.iter().filter(|letter| !letter.is_alphabetic()).count() >= 8 && !is_a_row(password);
    if all.len() < 5 || (letters.len() < 4 && !mixed) || is_a_row(password) { Err(Weak::Common) } else { Ok(()) }
}

/// `abcdefghijkl`, `123456789012`: each letter follows from the one before it.
fn is_a_row(password: &str) -> bool {
    let letters: Vec<u32> = password.to_lowercase().chars().map(u32::from).collect();
    let steps = letters.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 1).count();
    steps + 2 >= letters.len()
}

/// Too many hash at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many sign in at this moment; try again")]
pub struct Busy;

/// Hashes and verifies, a few at a time.
pub struct Hasher {
    permits: Semaphore,
    in_hand: AtomicUsize,
    entropy: SharedEntropy,
    /// What an unknown name is verified against, so that it takes the same time.
    nobody: Arc<OnceLock<String>>,
}

/// Counts down however the call ends.
struct InHand<'h>(&'h AtomicUsize);

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Hasher {
    /// With its own bounds.
    pub fn new(entropy: SharedEntropy) -> Self {
        let permits = Semaphore::new(AT_ONCE);
        Hasher { permits, in_hand: AtomicUsize::new(0), entropy, nobody: Arc::default() }
    }

    /// The PHC form of a password.
    ///
    /// # Errors
    /// When too many hash at this moment.
    pub async fn hash(&self, password: &str) -> Result<String, Busy> {
        let (password, salt) = (password.to_owned(), salt(self.entropy.as_ref()));
        self.work(move || hash(&password, &salt)).await
    }

    /// Whether a password is the one behind this PHC form; `None`, an unknown name, takes as long and is never right.
    ///
    /// # Errors
    /// When too many hash at this moment.
    pub async fn verify(&self, password: &str, phc: Option<String>) -> Result<bool, Busy> {
        let (password, salt) = (password.to_owned(), salt(self.entropy.as_ref()));
        let nobody = self.nobody.clone();
        self.work(move || {
            let known = phc.as_deref();
            let compared = known.unwrap_or_else(|| nobody.get_or_init(|| hash("nobody signs in with this", &salt)));
            verify(&password, compared) && known.is_some()
        })
        .await
    }

    /// Makes ready what an unknown name is verified against: the first one would else take twice as long.
    pub async fn prepare(&self) {
        let _ = self.verify("", None).await;
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let before = self.in_hand.fetch_add(1, Ordering::AcqRel);
        let _in_hand = InHand(&self.in_hand);
        if before >= IN_HAND_MAX {
            return Err(Busy);
        }
        let _permit = self.permits.acquire().await.map_err(|_| Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| Busy)
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Hasher").finish_non_exhaustive()
    }
}

fn salt(entropy: &dyn Entropy) -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    entropy.fill(&mut salt);
    salt
}

fn argon() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("constants within the algorithm's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str, salt: &[u8]) -> String {
    let hashed: Result<PasswordHash, _> = argon().hash_password_with_salt(password.as_bytes(), salt);
    hashed.expect("a salt of 16 bytes and a bounded password can be hashed").to_string()
}

/// With the parameters that the hash names; the comparison takes the same time whatever differs.
fn verify(password: &str, phc: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|known| argon().verify_password(password.as_bytes(), &known).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededEntropy;

    #[test]
    fn api_4_weak_passwords_are_refused_with_the_reason() {
        for (password, why) in [
            ("elf zeichen", Weak::Short),
            ("passwordpassword", Weak::Common),
            ("Password12345!", Weak::Common),
            ("welcome2026!!", Weak::Common),
            ("aaaaaaaaaaaaaaa", Weak::Common),
            ("abcabcabcabcabc", Weak::Common),
            ("123456789012345", Weak::Common),
            ("abcdefghijklmnop", Weak::Common),
            ("anna-lena keeps bees", Weak::Name),
            ("two\nlines of text", Weak::Control),
        ] {
            assert_eq!(check(password, "Anna-Lena"), Err(why), "{password}");
        }
        assert_eq!(check(&"long words ".repeat(100), "anna"), Err(Weak::Long));
        for password in [
            "otter mills fourteen",
            "grüne Fahrräder im Öl",
            "x7!Kq2#pL9@vT4",
            "8593027461839",
            "密码很长很难猜测的一句话啊",
        ] {
            assert_eq!(check(password, "anna"), Ok(()), "{password}");
        }
    }

    #[tokio::test]
    async fn api_4_passwords_are_kept_as_argon2id_of_19_mib_and_differ_in_their_salts() {
        let hasher = Hasher::new(Arc::new(SeededEntropy::new(1)));
        let phc = hasher.hash("otter mills fourteen").await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_ne!(hasher.hash("otter mills fourteen").await.unwrap(), phc);
        assert!(hasher.verify("otter mills fourteen", Some(phc.clone())).await.unwrap());
        assert!(!hasher.verify("otter mills fifteen", Some(phc)).await.unwrap());
        assert!(!hasher.verify("nobody signs in with this", None).await.unwrap());
        assert!(!hasher.verify("x", Some("$argon2id$broken".to_owned())).await.unwrap());
    }

    #[tokio::test]
    async fn api_4_a_flood_of_sign_ins_is_turned_away_before_it_costs_memory() {
        let hasher = Arc::new(Hasher::new(Arc::new(SeededEntropy::new(1))));
        let held = hasher.permits.acquire_many(2).await.unwrap();
        let calls: Vec<_> = (0..IN_HAND_MAX + 8)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.verify("x", Some("not a hash".to_owned())).await })
            })
            .collect();
        while hasher.in_hand.load(Ordering::Acquire) < IN_HAND_MAX
            || calls.iter().filter(|call| call.is_finished()).count() < 8
        {
            tokio::task::yield_now().await;
        }
        drop(held);
        let mut busy = 0;
        for call in calls {
            busy += usize::from(call.await.unwrap().is_err());
        }
        assert_eq!(busy, 8);
        assert!(hasher.verify("x", None).await.is_ok(), "the next one is served");
    }
}
