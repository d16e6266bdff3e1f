//! ISO 4217 currencies and how many digits their minor unit has.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A currency of ISO 4217 and its minor digits.
///
/// Invariant: one of the active codes below; an unknown code is refused, never taken for a two-digit one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency {
    code: [u8; 3],
    digits: u8,
}

/// A text that is no currency code of ISO 4217.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a currency code of ISO 4217")]
pub struct UnknownCurrency(String);

/// Currencies without a minor unit (in practice or by ISO).
const NONE: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
/// Thousandths.
const THREE: &str = "BHD IQD JOD KWD LYD OMR TND";
/// Ten-thousandths: units of account.
const FOUR: &str = "CLF UYW";
/// Hundredths. The few codes that were withdrawn lately stay, because old orders carry them.
const TWO: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD \
CDF CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL \
HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL LTL LVL MAD MDL MGA MKD MMK MNT MOP MRU MUR \
MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE \
SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG \
ZWL";

impl Currency {
    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).expect("letters only")
    }

    /// Digits of the minor unit: 0 for JPY, 2 for EUR, 3 for KWD.
    pub fn digits(self) -> u32 {
        u32::from(self.digits)
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(text: &str) -> Result<Self, UnknownCurrency> {
        let unknown = || UnknownCurrency(text.chars().take(16).collect());
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| unknown())?;
        let known = |list: &str| list.as_bytes().chunks(4).any(|chunk| chunk[..3] == code);
        [(TWO, 2), (NONE, 0), (THREE, 3), (FOUR, 4)]
            .into_iter()
            .find(|(list, _)| known(list))
            .map(|(_, digits)| Currency { code, digits })
            .ok_or_else(unknown)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_digits_follow_iso_4217() {
        for (code, digits) in [("EUR", 2), ("JPY", 0), ("UGX", 0), ("KWD", 3), ("CLF", 4), ("ZWL", 2), ("AED", 2)] {
            assert_eq!(code.parse::<Currency>().unwrap().digits(), digits, "{code}");
        }
    }

    #[test]
    fn unknown_codes_are_refused() {
        for code in ["", "eur", "EU", "EURO", "XXX", "BTC", "UR ", "€", "D A"] {
            assert!(code.parse::<Currency>().is_err(), "{code}");
        }
    }
}
