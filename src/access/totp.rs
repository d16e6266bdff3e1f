//! The second factor: codes of six digits that change every 30 seconds (RFC 6238), and codes to fall back on.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use subtle::ConstantTimeEq as _;

use crate::clock::{Entropy, Timestamp};
use crate::envelope::keys::Digest;

/// Seconds that a code is shown for.
const STEP_SECONDS: i64 = 30;

/// A code of the step before or after is taken too: clocks differ, and people type.
const DRIFT_STEPS: i64 = 1;

/// 160 bits, the length that RFC 4226 recommends.
const SECRET_BYTES: usize = 20;

/// Recovery codes of one person.
pub const RECOVERY_CODES: usize = 10;

/// A fresh secret.
pub fn secret(entropy: &dyn Entropy) -> Vec<u8> {
    let mut secret = vec![0; SECRET_BYTES];
    entropy.fill(&mut secret);
    secret
}

/// The secret as it is typed into a device.
pub fn shown(secret: &[u8]) -> String {
    BASE32_NOPAD.encode(secret)
}

/// The address that a device reads from a QR code.
pub fn address(secret: &[u8], name: &str) -> String {
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    let secret = shown(secret);
    format!(
        "otpauth://totp/Crossdock:{name}?secret={secret}&issuer=Crossdock&algorithm=SHA1&digits=6&period={STEP_SECONDS}"
    )
}

/// The step whose code this is, if it is one of now or its neighbours and newer than the last one used.
pub fn step_of(secret: &[u8], code: &str, now: Timestamp, used: i64) -> Option<i64> {
    let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    let this = now.as_second().div_euclid(STEP_SECONDS);
    let mut found = None;
    // Every step is tried, so that the time says nothing about which fitted.
    for step in this - DRIFT_STEPS..=this + DRIFT_STEPS {
        let fits = bool::from(code_at(secret, step).as_bytes().ct_eq(code.as_bytes()));
        if fits && step > used && found.is_none() {
            found = Some(step);
        }
    }
    found
}

/// The six digits of a step.
pub fn code_at(secret: &[u8], step: i64) -> String {
    format!("{:06}", truncated(secret, step) % 1_000_000)
}

fn truncated(secret: &[u8], step: i64) -> u32 {
    // SHA-1 is what every authenticator speaks; as an HMAC it is not broken.
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[tag.len() - 1] & 0x0f);
    u32::from_be_bytes([tag[at] & 0x7f, tag[at + 1], tag[at + 2], tag[at + 3]])
}

/// Codes to fall back on, to be shown this once, each of 80 bits.
pub fn recovery_codes(entropy: &dyn Entropy) -> Vec<String> {
    let code = || {
        let mut bytes = [0; 10];
        entropy.fill(&mut bytes);
        let code = BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
        format!("{}-{}-{}-{}", &code[..4], &code[4..8], &code[8..12], &code[12..])
    };
    std::iter::repeat_with(code).take(RECOVERY_CODES).collect()
}

/// What is kept of a recovery code; `None`: it is not the shape of one.
pub fn recovery_digest(code: &str) -> Option<Digest> {
    let plain: String = code.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').collect();
    let plain = plain.to_ascii_lowercase();
    (plain.len() == 16).then(|| Digest::of_fields(&["crossdock.recovery-code.v1", &plain]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededEntropy;

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        // Appendix B, the SHA-1 column; eight digits there.
        for (seconds, code) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000_i64, 65_353_130),
        ] {
            assert_eq!(truncated(b"12345678901234567890", seconds / 30) % 100_000_000, code, "{seconds}");
        }
    }

    #[test]
    fn api_4_a_code_is_good_for_its_step_and_its_neighbours_and_never_twice() {
        let secret = secret(&SeededEntropy::new(1));
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let step = now.as_second() / 30;
        for (of, good) in [(step - 2, false), (step - 1, true), (step, true), (step + 1, true), (step + 2, false)] {
            assert_eq!(step_of(&secret, &code_at(&secret, of), now, 0), good.then_some(of));
        }
        let code = code_at(&secret, step);
        assert_eq!(step_of(&secret, &format!(" {} {}", &code[..3], &code[3..]), now, step - 1), Some(step));
        assert_eq!(step_of(&secret, &code, now, step), None, "used");
        for wrong in ["", "12345", "1234567", "abcdef", "１２３４５６"] {
            assert_eq!(step_of(&secret, wrong, now, 0), None, "{wrong}");
        }
    }

    #[test]
    fn recovery_codes_are_read_as_people_type_them() {
        let codes = recovery_codes(&SeededEntropy::new(1));
        assert_eq!(codes.len(), RECOVERY_CODES);
        let digest = recovery_digest(&codes[0]).unwrap();
        assert_eq!(recovery_digest(&codes[0].replace('-', " ").to_uppercase()), Some(digest));
        assert_ne!(recovery_digest(&codes[1]), Some(digest));
        assert_eq!(recovery_digest("123456"), None);
    }

    #[test]
    fn a_device_reads_the_address() {
        assert_eq!(
            address(b"12345678901234567890", "anna b"),
            "otpauth://totp/Crossdock:anna%20b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Crossdock&algorithm=SHA1&digits=6&period=30"
        );
    }
}
