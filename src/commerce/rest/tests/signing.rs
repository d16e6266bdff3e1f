//! Our signatures against recorded ones and against vectors with made-up keys.

use reqwest::Url;
use serde_json::Value;

use super::super::oauth::{Credentials, base_string, header, sign};

fn made_up() -> Credentials {
    Credentials {
        consumer_key: "ck".to_owned(),
        consumer_secret: "c&s".to_owned(),
        access_token: "at".to_owned(),
        access_token_secret: "ts".to_owned(),
    }
}

#[test]
fn a_vector_of_our_own_holds() {
    let url = "https://SHOP.example.com:443/rest/all/V1/products/A%20B%2DC%2fD\
               ?searchCriteria[filter_groups][0][filters][0][value]=a%20b%3D%2B%C3%BC&fields=items%5Bsku%5D";
    let url = Url::parse(url).unwrap();
    let header = header(&made_up(), "get", &url, "n0", 1_700_000_000);
    assert!(header.starts_with("OAuth oauth_consumer_key=\"ck\", oauth_nonce=\"n0\""), "{header}");
    assert!(
        header.ends_with(&format!(
            "oauth_signature=\"{}\"",
            super::super::oauth::encode("TqbdZjZg2d/s1jfEasLTXYLEWTPEQ4dcJRPlEhfRoto=")
        )),
        "{header}"
    );
}

#[test]
fn what_does_not_fall_into_two_parts_is_left_out_and_other_ports_stay_in() {
    let url = Url::parse("http://h:8080/p?a=1&b=x==&c&d=").unwrap();
    assert_eq!(base_string("GET", &url, &[]), "GET&http%3A%2F%2Fh%3A8080%2Fp&a%3D1%26d%3D");
}

#[test]
fn an_escaped_percent_is_read_as_the_server_reads_it() {
    let base = |path: &str| base_string("GET", &Url::parse(&format!("http://h{path}")).unwrap(), &[]);
    assert_eq!(base("/A%2BB%3DC%40D%23E%3FF%25G"), "GET&http%3A%2F%2Fh%2FA%2BB%3DC%40D%2523E%253FF%2525G&");
    assert_eq!(base("/a%2520b"), "GET&http%3A%2F%2Fh%2Fa%2520b&");
}

/// One request and its answer's status; `None` where it carries no signature in the header.
fn verified(file: &str, exchange: &Value, key: &str, bases: &[String]) -> Option<()> {
    let status = exchange["response"]["status"].as_u64()?;
    let headers = &exchange["request"]["headers"];
    let authorization = headers["Authorization"].as_str()?;
    let (scheme, own) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("oauth") || !matches!(status, 200..=299 | 404) {
        return None;
    }
    let own: Vec<(&str, String)> = own
        .split(',')
        .map(|part| part.trim().split_once('=').unwrap())
        .map(|(name, value)| {
            let value = percent_encoding::percent_decode_str(value.trim_matches('"')).decode_utf8().unwrap();
            (name, value.into_owned())
        })
        .collect();
    let signature = own.iter().find(|(name, _)| *name == "oauth_signature")?.1.clone();
    let signed: Vec<(&str, &str)> = own
        .iter()
        .filter(|(name, _)| !matches!(*name, "oauth_signature" | "realm"))
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let host = headers["Host"].as_str().unwrap_or("127.0.0.1:8080");
    // The one header that a recording names in its label only.
    let offloaded = exchange["label"].as_str().is_some_and(|label| label.contains("plus X-Forwarded-Proto: https"));
    let scheme = if offloaded { "https" } else { "http" };
    let path = exchange["request"]["path"].as_str()?;
    let url = Url::parse(&format!("{scheme}://{host}{path}")).unwrap();
    let base = base_string(exchange["request"]["method"].as_str()?, &url, &signed);
    assert_eq!(sign(key, &base), signature, "{file} {}: {base}", exchange["label"]);
    let nonce = own.iter().find(|(name, _)| *name == "oauth_nonce").map_or("", |(_, value)| value);
    for recorded in bases.iter().filter(|recorded| !nonce.is_empty() && recorded.contains(nonce)) {
        assert!(*recorded == base || !recorded.starts_with("GET&http%3A%2F%2F127"), "{file}: {recorded}\n{base}");
    }
    Some(())
}

#[test]
fn our_signatures_are_the_recorded_ones_wherever_the_server_accepted() {
    let Some(root) = std::env::var_os("CROSSDOCK_CORPUS").map(std::path::PathBuf::from) else {
        eprintln!("left out: CROSSDOCK_CORPUS is not set");
        return;
    };
    let mut files: Vec<_> =
        std::fs::read_dir(root.join("exchanges")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut key, mut compared) = (String::new(), 0);
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !("110".."135").contains(&&name[..3]) {
            continue;
        }
        let exchange: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        if let Some(recorded) = exchange["observed"]["signing_key"].as_str() {
            recorded.clone_into(&mut key);
        }
        let observed = exchange["observed"].as_object();
        let bases: Vec<String> = observed
            .and_then(|observed| observed.get("base_string"))
            .and_then(Value::as_str)
            .map(str::to_owned)
            .into_iter()
            .collect();
        let steps = exchange["steps"].as_array().map_or(&[][..], Vec::as_slice);
        for one in std::iter::once(&exchange).chain(steps) {
            compared += usize::from(verified(&name, one, &key, &bases).is_some());
        }
    }
    assert!(compared >= 25, "{compared}");
    eprintln!("{compared} signatures compared");
}
