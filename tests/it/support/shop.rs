//! The configuration of a service beside the stand-in Commerce: signed reads, events, the journal.

use crossdock::demo::commerce::StandIn;

/// As journal and search are set here they are far apart: what comes was pushed or rung for.
pub fn beside(shop: &StandIn, text: &str) -> String {
    let (gateway, keys) = (shop.gateway(), shop.credentials());
    let auth = format!(
        "auth = {{ type = \"oauth1\", consumer_key = \"{}\", consumer_secret = \"{}\", access_token = \"{}\", \
         access_token_secret = \"{}\" }}",
        keys.consumer_key, keys.consumer_secret, keys.token, keys.token_secret
    );
    let base_url = format!("base_url = \"{}\"", shop.rest_url());
    let text = text.replacen("base_url = \"http://127.0.0.1:1/rest\"", &base_url, 1);
    let text = text.replacen("auth = { type = \"none\" }", &auth, 1);
    let text = text.replace("\"never\"", "\"when-needed\"");
    let text = text.replace("sweep = \"off\"", "sweep = { every = \"23h\", overlap = \"10m\" }");
    format!(
        "{text}\n[origins.adobe]\ntype = \"commerce-events\"\ncommerce = \"acme\"\nclient_id = \"{}\"\n\
         key_base_url = \"{}\"\n\
         journal = {{ url = \"{}\", client_secret = \"stand-in-client-secret\", org_id = \"0@AdobeOrg\", \
         every = \"22h\", token_url = \"{}/ims/token/v3\" }}\n",
        gateway.client_id(),
        gateway.key_base_url(),
        shop.journal_url(),
        shop.url(),
    )
}
