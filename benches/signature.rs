//! What it costs to know who sent an order of some 5.9 KB.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossdock::clock::{Clock as _, SystemClock};
use crossdock::config::{AuthSetting, Dated, Secret, SignedBytes};
use crossdock::intake::signature::Verifier;
use crossdock::intake::signature::sign::{self, CommerceSigner};
use http::{HeaderMap, HeaderName, HeaderValue};

mod support;

const HMAC_SECRET: &str = "hmac-secret-of-the-measurements-01";
const STANDARD_SECRET: &str = "whsec_dGVzdC1zZWNyZXQtb2YtY3Jvc3Nkb2NrLTAxMjM=";

fn secrets(value: &str) -> Vec<Dated<Secret<String>>> {
    vec![Dated::always(Secret::new(value.to_owned()))]
}

fn signatures(criterion: &mut Criterion) {
    let body = Bytes::from(support::order(4));
    let now = SystemClock.now();
    let signer = CommerceSigner::generate();
    let rsa = |signed| AuthSetting::RsaSignature { public_keys: vec![Dated::always(signer.public_key_pem())], signed };
    let rsa_header = |signed| vec![(sign::COMMERCE_SIGNATURE, signer.sign(&body, signed))];
    let hmac_header = HeaderName::from_static("x-hmac-hash");
    let seconds = now.as_second();
    let standard = sign::standard_webhooks(STANDARD_SECRET, "msg_1", seconds, &body).expect("the secret is base64");
    let cases = [
        ("rsa", rsa(SignedBytes::Base64Body), rsa_header(SignedBytes::Base64Body)),
        ("rsa_raw", rsa(SignedBytes::RawBody), rsa_header(SignedBytes::RawBody)),
        (
            "hmac",
            AuthSetting::Hmac { header: hmac_header, secrets: secrets(HMAC_SECRET) },
            vec![("x-hmac-hash", sign::hmac_hex(HMAC_SECRET, &body))],
        ),
        (
            "standard_webhooks",
            AuthSetting::StandardWebhooks { secrets: secrets(STANDARD_SECRET) },
            vec![
                ("webhook-id", "msg_1".to_owned()),
                ("webhook-timestamp", seconds.to_string()),
                ("webhook-signature", standard),
            ],
        ),
    ];
    let mut group = criterion.benchmark_group("signature");
    group.throughput(Throughput::Bytes(body.len() as u64));
    for (name, setting, sent) in cases {
        let verifier = Verifier::new(&[setting]).unwrap_or_else(|problems| panic!("{problems:?}"));
        let headers: HeaderMap = sent
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("visible ASCII")))
            .collect();
        group.bench_function(name, |bencher| {
            bencher.iter(|| verifier.verify(&headers, body.clone(), now).expect("it is genuine").scheme());
        });
    }
    group.finish();
}

criterion_group!(benches, signatures);
criterion_main!(benches);
