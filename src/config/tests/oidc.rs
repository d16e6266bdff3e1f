//! `[access.oidc]`.

use super::{SMALL, problems, read, warnings};
use crate::access::Role;

const OIDC: &str = r#"
[access.oidc]
name = "Contoso"
issuer = "https://id.example.com/tenant/"
client_id = "crossdock"
client_secret = "env:LONG"
roles = { claim = "groups", map = { "crossdock-operators" = "operator", admins = "admin" } }
"#;

#[cfg(feature = "oidc")]
#[test]
fn api_4_an_identity_provider_is_read_whole() {
    let oidc = read(&format!("{SMALL}{OIDC}")).unwrap().config.access.oidc.unwrap();
    assert_eq!(oidc.issuer, "https://id.example.com/tenant/", "to the letter");
    assert_eq!(oidc.scopes, ["openid", "profile", "email"]);
    assert_eq!((oidc.role_map["admins"], oidc.role_default, oidc.local_passwords), (Role::Admin, None, true));
    assert!(!format!("{oidc:?}").contains("0123456789abcdef"));
    let open = OIDC.replace("} }", "}, default = \"viewer\" }");
    assert!(warnings(&format!("{SMALL}{open}")).contains("lets in everybody whom the provider knows"));
    let bounded = format!("{SMALL}{open}email_domains = [\"Example.com\"]\nlocal_passwords = false\n");
    assert!(!warnings(&bounded).contains("lets in everybody"));
    let oidc = read(&bounded).unwrap().config.access.oidc.unwrap();
    assert_eq!((oidc.email_domains, oidc.local_passwords), (vec!["example.com".to_owned()], false));
}

#[cfg(feature = "oidc")]
#[test]
fn api_4_what_is_wrong_with_an_identity_provider_is_said_with_its_place() {
    for (from, to, told) in [
        ("https://id", "http://id", "access.oidc.issuer: uses plain http"),
        ("https://id.example.com", "https://10.0.0.1", "goes to 10.0.0.1, a private address"),
        ("tenant/", "t/.well-known/openid-configuration", "access.oidc.issuer: is more than the issuer"),
        ("= \"operator\"", "= \"boss\"", "\"boss\" is not known here"),
        ("claim = \"groups\", ", "", "access.oidc.roles.claim: is missing"),
        (
            "map = { \"crossdock-operators\" = \"operator\", admins = \"admin\" }",
            "",
            "access.oidc.roles: lets nobody in",
        ),
        ("client_secret = \"env:LONG\"", "scopes = [\"email\"]", "access.oidc.client_secret: is missing"),
        ("client_id = \"crossdock\"", "scopes = [\"email\"]", "access.oidc.scopes: lacks openid"),
        ("name = \"Contoso\"", "name = \" \"", "access.oidc.name: does not fit on a button"),
        ("roles =", "rolls =", "access.oidc.rolls: is not a key"),
    ] {
        let said = problems(&format!("{SMALL}{}", OIDC.replace(from, to)));
        assert!(said.contains(told), "{to}: {said}");
    }
}

#[cfg(not(feature = "oidc"))]
#[test]
fn api_4_a_binary_without_the_feature_says_so() {
    let said = problems(&format!("{SMALL}{OIDC}"));
    assert!(said.contains("access.oidc: asks for sign-in with an identity provider"), "{said}");
    assert!(said.contains("build with --features oidc"), "{said}");
}
