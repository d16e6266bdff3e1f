//! What must be registered in Commerce so that it tells us: a webhook or an event subscription. What is wanted, how what
//! is there differs from it, and how it is written where REST cannot do it. Pure.

use serde_json::{Value, json};

use crate::json::{self as text, Json, Limits};

/// The event of a test of ours: it is verified like any other, and nothing is made of it.
pub const PROBE: &str = "crossdock.probe";
/// The event that tells of orders: after the save is durable, so that the order can be read.
pub const ORDER_EVENT: &str = "observer.sales_order_save_commit_after";
/// What it carries: enough to know which order is meant, and no buyer.
pub const ORDER_EVENT_FIELDS: [&str; 8] =
    ["entity_id", "increment_id", "store_id", "state", "status", "updated_at", "created_at", "_isNew"];
/// The batch our hooks stand in.
const BATCH: &str = "crossdock";
/// Milliseconds after which Commerce goes on without our answer; we answer or give up within two seconds.
const TIMEOUT_MS: u64 = 3_000;
/// Milliseconds after which Commerce writes a notice.
const SOFT_TIMEOUT_MS: u64 = 500;

/// A webhook on the order after it was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name within the batch.
    pub name: String,
    /// Adobe Commerce as a Cloud Service spells the method without `magento.`.
    pub saas: bool,
    /// Where it calls.
    pub url: String,
    /// Headers we recognise it by: name and value.
    pub headers: Vec<(String, String)>,
}

/// What stands in Commerce, compared with what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing of that name.
    Missing,
    /// As wanted.
    Right,
    /// There, and other in these points, each a sentence.
    Other(Vec<String>),
}

impl Hook {
    /// The method that Commerce calls it after.
    pub fn method(&self) -> &'static str {
        if self.saas {
            "plugin.sales.api.order_management.place"
        } else {
            "plugin.magento.sales.api.order_management.place"
        }
    }

    /// The body of `POST /V1/webhooks/subscribe`. Every member is named: the schema calls most of them required.
    pub fn body(&self) -> Value {
        let headers: Vec<Value> =
            self.headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        json!({ "webhook": {
            "webhook_method": self.method(), "webhook_type": "after", "batch_name": BATCH, "batch_order": 100,
            "hook_name": self.name, "url": self.url, "priority": 100, "required": false,
            "soft_timeout": SOFT_TIMEOUT_MS, "timeout": TIMEOUT_MS, "method": "POST", "fallback_error_message": "",
            "ttl": 0, "fields": [], "rules": [], "headers": headers,
        } })
    }

    /// `webhooks.xml`; values of headers come from the environment of Commerce, as secrets do not belong into a file.
    pub fn xml(&self) -> String {
        let headers: Vec<String> = self
            .headers
            .iter()
            .map(|(name, _)| {
                let variable = name.to_uppercase().replace('-', "_");
                format!(
                    "                        <header name=\"{}\">{{env:CROSSDOCK_{variable}}}</header>\n",
                    xml(name)
                )
            })
            .collect();
        let headers = if headers.is_empty() {
            String::new()
        } else {
            format!(
                "\n                    <headers>\n{}                    </headers>\n                ",
                headers.concat()
            )
        };
        format!(
            r#"<?xml version="1.0"?>
<config xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
        xsi:noNamespaceSchemaLocation="urn:magento:module:Magento_AdobeCommerceWebhooks:etc/webhooks.xsd">
    <method name="{method}" type="after">
        <hooks>
            <batch name="{BATCH}" order="100">
                <hook name="{name}" url="{url}" method="POST" timeout="{TIMEOUT_MS}" softTimeout="{SOFT_TIMEOUT_MS}"
                      priority="100" required="false">{headers}</hook>
            </batch>
        </hooks>
    </method>
</config>
"#,
            method = self.method(),
            name = xml(&self.name),
            url = xml(&self.url),
        )
    }

    /// How it stands in the answer of `GET /V1/webhooks/list`.
    ///
    /// # Errors
    /// When the answer is no list.
    pub fn standing(&self, listed: &[u8]) -> Result<Standing, String> {
        let listed = parsed(listed)?;
        let ours = listed.elements().unwrap_or_default().into_iter().find(|hook| {
            text_of(hook, "hook_name") == self.name
                && text_of(hook, "batch_name") == BATCH
                && text_of(hook, "webhook_method") == self.method()
        });
        let Some(hook) = ours else { return Ok(Standing::Missing) };
        let mut other = Vec::new();
        if text_of(hook, "url") != self.url {
            other.push(format!("it calls {} instead of {}", text_of(hook, "url"), self.url));
        }
        if text_of(hook, "webhook_type") != "after" {
            other.push("it is called before the order is saved: its type is to be after".to_owned());
        }
        if is_true(hook, "required") {
            other.push("it is required: when we are away, no shopper can buy; switch it to not required".to_owned());
        }
        match text_of(hook, "timeout").parse::<u64>() {
            Ok(1..=10_000) => {}
            _ => other.push(format!("its timeout is none, or long: a shopper waits that long; write {TIMEOUT_MS}")),
        }
        if text_of(hook, "ttl").parse::<u64>().is_ok_and(|ttl| ttl > 0) {
            other.push(
                "its answers are cached, so orders with the same content do not reach us; write ttl 0".to_owned(),
            );
        }
        for (name, _) in &self.headers {
            let there = hook.present("headers").and_then(Json::elements).unwrap_or_default();
            if !there.iter().any(|header| text_of(header, "name").eq_ignore_ascii_case(name)) {
                other.push(format!("it does not send the header {name}, so we would refuse it"));
            }
        }
        let fields = hook.present("fields").and_then(Json::elements).unwrap_or_default();
        if !fields.is_empty() {
            other.push(format!(
                "it sends {} fields instead of the whole order, so every order is read back from Commerce",
                fields.len()
            ));
        }
        Ok(if other.is_empty() { Standing::Right } else { Standing::Other(other) })
    }
}

/// The body of `POST /V1/eventing/eventSubscribe`.
pub fn event_body() -> Value {
    let fields: Vec<Value> = ORDER_EVENT_FIELDS.iter().map(|name| json!({ "name": name })).collect();
    json!({ "event": { "name": ORDER_EVENT, "parent": "", "fields": fields, "rules": [], "priority": false,
                       "destination": "default", "hipaa_audit_required": false }, "force": false })
}

/// `io_events.xml`.
pub fn event_xml() -> String {
    let fields: Vec<String> =
        ORDER_EVENT_FIELDS.iter().map(|name| format!("            <field name=\"{name}\" />\n")).collect();
    format!(
        r#"<?xml version="1.0"?>
<config xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
        xsi:noNamespaceSchemaLocation="urn:magento:module:Magento_AdobeCommerceEventsClient:etc/io_events.xsd">
    <event name="{ORDER_EVENT}">
        <fields>
{}        </fields>
    </event>
</config>
"#,
        fields.concat()
    )
}

/// How the event subscription stands in the answer of `GET /V1/eventing/getEventSubscriptions`.
///
/// # Errors
/// When the answer is no list.
pub fn event_standing(listed: &[u8]) -> Result<Standing, String> {
    let listed = parsed(listed)?;
    let named =
        |event: &&Json<'_>| [text_of(event, "name"), text_of(event, "parent")].iter().any(|name| is_order_event(name));
    let Some(event) = listed.elements().unwrap_or_default().into_iter().find(named) else {
        return Ok(Standing::Missing);
    };
    let fields = event.present("fields").and_then(Json::elements).unwrap_or_default();
    let there: Vec<&str> =
        fields.iter().filter_map(|field| field.as_str().or_else(|| field.present("name")?.as_str())).collect();
    let needed = ["entity_id", "increment_id", "store_id", "updated_at"];
    let mut other: Vec<String> = needed
        .iter()
        .filter(|name| !there.contains(name) && !there.contains(&"*"))
        .map(|name| format!("it does not carry {name}"))
        .collect();
    if there.contains(&"*") {
        other.push(
            "it carries every field: orders beyond 64 KB are dropped, and buyers' details leave Commerce".to_owned(),
        );
    }
    Ok(if other.is_empty() { Standing::Right } else { Standing::Other(other) })
}

/// Under its own name, with the provider's prefix, or behind the name of an app; never a name that merely ends alike.
fn is_order_event(name: &str) -> bool {
    name.strip_suffix(ORDER_EVENT).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// What a person does where files and REST are not the way: Adobe Commerce as a Cloud Service is set up in its admin.
pub fn hook_steps(hook: &Hook) -> String {
    let headers: Vec<String> =
        hook.headers.iter().map(|(name, _)| format!("{name} = the value in the configuration")).collect();
    let headers = if headers.is_empty() { "none".to_owned() } else { headers.join(", ") };
    format!(
        "System > Webhooks > Webhooks Subscriptions > Add New Webhook\n\
         \x20 Hook name        {}\n\
         \x20 Webhook method   {}\n\
         \x20 Webhook type     after\n\
         \x20 Batch name       {BATCH}, batch order 100\n\
         \x20 URL              {}\n\
         \x20 Method           POST\n\
         \x20 Timeout          {TIMEOUT_MS}, soft timeout {SOFT_TIMEOUT_MS}\n\
         \x20 Priority         100\n\
         \x20 Required         no\n\
         \x20 TTL              0\n\
         \x20 Hook fields      none (the whole order)\n\
         \x20 Hook headers     {headers}\n\
         Then press Test Webhook.\n",
        hook.name,
        hook.method(),
        hook.url
    )
}

/// As [`hook_steps`], for the event.
pub fn event_steps() -> String {
    format!(
        "System > Events > Events Subscriptions > Add New Event Subscription\n\
         \x20 Event name       {ORDER_EVENT}\n\
         \x20 Provider         the instance's own\n\
         \x20 Priority         no\n\
         \x20 Enabled          yes\n\
         \x20 Event fields     {}\n",
        ORDER_EVENT_FIELDS.join(", ")
    )
}

/// What is to be typed once the file lies in `app/etc` or in a module.
pub fn commands(events: bool) -> &'static str {
    if events {
        "bin/magento events:list\nbin/magento setup:di:compile && bin/magento cache:flush\n"
    } else {
        "bin/magento webhooks:generate:module && bin/magento module:enable Magento_AdobeCommerceWebhookPlugins\n\
         bin/magento setup:di:compile && bin/magento cache:flush\nbin/magento webhooks:list\n"
    }
}

fn parsed(listed: &[u8]) -> Result<Json<'_>, String> {
    let listed = text::parse(listed, &Limits::default()).map_err(|error| format!("Commerce's list: {error}"))?;
    if listed.is_array() || listed.is_object() { Ok(listed) } else { Err("Commerce's list is none".to_owned()) }
}

fn text_of<'j>(json: &'j Json<'_>, name: &str) -> &'j str {
    json.present(name).and_then(Json::as_text).unwrap_or_default()
}

fn is_true(json: &Json<'_>, name: &str) -> bool {
    json.get(name) == Some(&Json::Bool(true)) || matches!(text_of(json, name), "1" | "true")
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook() -> Hook {
        Hook {
            name: "hooks_orders".to_owned(),
            saas: false,
            url: "https://crossdock.example.com/in/hooks/orders".to_owned(),
            headers: vec![("X-Hook-Key".to_owned(), "secret".to_owned())],
        }
    }

    #[test]
    fn what_was_subscribed_is_right_when_it_is_listed_and_other_names_are_nobody_of_ours() {
        let listed = json!([{ "hook_name": "other" }, hook().body()["webhook"]]).to_string();
        assert_eq!(hook().standing(listed.as_bytes()), Ok(Standing::Right));
        assert_eq!(hook().standing(b"[]"), Ok(Standing::Missing));
        assert_eq!(Hook { saas: true, ..hook() }.standing(listed.as_bytes()), Ok(Standing::Missing));
        assert!(hook().standing(b"<html>").is_err());
        assert!(hook().standing(b"7").is_err());
    }

    #[test]
    fn what_would_hurt_a_shop_is_named() {
        let mut there = hook().body()["webhook"].clone();
        there["required"] = json!("1");
        there["timeout"] = json!(0);
        there["ttl"] = json!("60");
        there["webhook_type"] = json!("before");
        there["url"] = json!("https://old.example.com");
        there["headers"] = json!([]);
        there["fields"] = json!([{ "name": "order.increment_id" }]);
        let Ok(Standing::Other(points)) = hook().standing(json!([there]).to_string().as_bytes()) else { panic!() };
        let all = points.join("\n");
        for word in ["required", "timeout", "cached", "before", "old.example.com", "X-Hook-Key", "1 fields"] {
            assert!(all.contains(word), "{word}: {all}");
        }
        assert_eq!(points.len(), 7);
    }

    #[test]
    fn xml_names_headers_and_never_their_values() {
        let xml = hook().xml();
        assert!(xml.contains("<header name=\"X-Hook-Key\">{env:CROSSDOCK_X_HOOK_KEY}</header>"), "{xml}");
        assert!(xml.contains("required=\"false\"") && xml.contains("timeout=\"3000\"") && !xml.contains("secret"));
        let odd = Hook { url: "https://x.example/?a=1&b=\"2\"".to_owned(), headers: Vec::new(), ..hook() };
        assert!(odd.xml().contains("url=\"https://x.example/?a=1&amp;b=&quot;2&quot;\""));
        assert!(!odd.xml().contains("<headers>"));
        assert!(event_xml().contains(&format!("<event name=\"{ORDER_EVENT}\">")));
    }

    #[test]
    fn an_event_subscription_is_known_by_its_name_and_judged_by_its_fields() {
        let ours = event_body()["event"].clone();
        assert_eq!(event_standing(json!([ours]).to_string().as_bytes()), Ok(Standing::Right));
        let prefixed =
            json!([{ "name": format!("com.adobe.commerce.{ORDER_EVENT}"), "fields": ["entity_id"] }]).to_string();
        let Ok(Standing::Other(points)) = event_standing(prefixed.as_bytes()) else { panic!() };
        assert_eq!(points.len(), 3);
        let all = json!([{ "name": ORDER_EVENT, "fields": [{ "name": "*" }] }]).to_string();
        assert!(matches!(event_standing(all.as_bytes()), Ok(Standing::Other(points)) if points[0].contains("64 KB")));
        assert_eq!(event_standing(b"[]"), Ok(Standing::Missing));
        for (name, ours) in [
            ("com.adobe.commerce.observer.sales_order_save_commit_after", true),
            ("com.adobe.commerce.my_app.observer.sales_order_save_commit_after", true),
            ("other_observer.sales_order_save_commit_after", false),
            ("observer.sales_order_save_commit_after_extra", false),
        ] {
            assert_eq!(is_order_event(name), ours, "{name}");
        }
    }

    #[test]
    fn what_a_person_types_has_everything_in_it() {
        insta::assert_snapshot!("webhooks_xml", hook().xml());
        insta::assert_snapshot!("io_events_xml", event_xml());
        insta::assert_snapshot!("hook_steps", hook_steps(&Hook { saas: true, ..hook() }));
        insta::assert_snapshot!("event_steps", event_steps());
        assert!(!hook_steps(&hook()).contains("secret"));
    }
}
