//! What a message says, and how each channel is told it. Pure.
//!
//! A notice is one sentence about what is wrong, since when, how much waits safely with us, what to do next, and where to
//! look. It holds no buyer's details. Some of its words come from outside (a SKU, a configured name): every channel gets
//! them as text, never as its markup.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::rules::words;
use crate::clock::Timestamp;
use crate::domain::defect::Severity;
use crate::store::alerts::{Alert, MessageKind};

/// The name of this form.
pub const SCHEMA: &str = "crossdock.alert.v1";

/// What a message says; kept in the outbox and sent to webhooks as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// [`SCHEMA`].
    pub schema: String,
    /// `raised`, `escalated`, `resolved`, `test`.
    pub kind: String,
    /// The alert; `null` in a test.
    pub alert_id: Option<String>,
    /// The rule that raised it.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// In a sentence.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Records that wait, safe with us.
    pub waiting: u64,
    /// What to do.
    pub next: String,
    /// Where to look.
    pub link: Option<String>,
}

impl Notice {
    /// About an alert as it is now. `console` is the service's public address.
    pub fn of(alert: &Alert, kind: MessageKind, console: Option<&str>) -> Self {
        Notice {
            schema: SCHEMA.to_owned(),
            kind: kind.as_str().to_owned(),
            alert_id: Some(alert.id.to_string()),
            rule: alert.rule.clone(),
            severity: alert.severity,
            what: alert.what.clone(),
            since: alert.since,
            ended_at: alert.resolved_at.and(alert.clear_since.or(alert.resolved_at)),
            waiting: alert.waiting,
            next: alert.next.clone(),
            link: console.map(link),
        }
    }

    /// A message that says it is none.
    pub fn test(contact: &str, now: Timestamp, console: Option<&str>) -> Self {
        Notice {
            schema: SCHEMA.to_owned(),
            kind: "test".to_owned(),
            alert_id: None,
            rule: "test".to_owned(),
            severity: Severity::Info,
            what: format!("This is a test of contact {contact}: nothing is wrong"),
            since: now,
            ended_at: None,
            waiting: 0,
            next: "nothing; alerts for this contact arrive here".to_owned(),
            link: console.map(link),
        }
    }

    /// One line: the subject of an e-mail, the headline elsewhere.
    pub fn headline(&self) -> String {
        let mark = match self.kind.as_str() {
            "resolved" => "Over".to_owned(),
            "test" => "Test".to_owned(),
            "escalated" => format!("{}, nobody took it yet", capital(self.severity)),
            _ => capital(self.severity),
        };
        format!("[{mark}] {}", one_line(&self.what))
    }

    /// The lines below it, without the link.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.kind == "test" {
            lines.push(format!("Sent {}.", shown(self.since)));
        } else if let Some(ended_at) = self.ended_at {
            let lasted: Duration = ended_at.duration_since(self.since).try_into().unwrap_or_default();
            lines.push(format!(
                "It began {} and was over {}, after {}.",
                shown(self.since),
                shown(ended_at),
                words(lasted)
            ));
        } else {
            lines.push(format!("Since {}.", shown(self.since)));
            match self.waiting {
                0 => {}
                1 => lines.push("1 record waits; it is safe with us.".to_owned()),
                many => lines.push(format!("{many} records wait; all of them are safe with us.")),
            }
        }
        if self.ended_at.is_none() {
            lines.push(format!("Next: {}.", one_line(&self.next)));
        }
        lines
    }

    /// Plain text, for e-mail.
    pub fn text(&self) -> String {
        let mut lines = vec![self.headline(), String::new()];
        lines.extend(self.lines());
        lines.extend(self.link.clone());
        lines.join("\n") + "\n"
    }

    /// For an incoming webhook of Slack. Its markup is switched off and its three control characters are escaped, so that
    /// a name can neither format, nor link, nor call a channel.
    pub fn slack(&self) -> Value {
        let mut lines = vec![self.headline()];
        lines.extend(self.lines());
        let mut text: Vec<String> = lines.iter().map(|line| slack_escaped(line)).collect();
        text.extend(self.link.as_deref().map(|link| format!("<{}|Open the console>", slack_url(link))));
        json!({
            "text": text.join("\n"),
            "mrkdwn": false,
            "parse": "none",
            "link_names": false,
            "unfurl_links": false,
            "unfurl_media": false,
        })
    }

    /// For a Teams workflow: a message with one adaptive card. Text runs hold no markup, unlike text blocks.
    pub fn teams(&self) -> Value {
        let colour = match (self.kind.as_str(), self.severity) {
            ("resolved", _) => "good",
            (_, Severity::Critical | Severity::Error) => "attention",
            (_, Severity::Warning) => "warning",
            (_, Severity::Info) => "default",
        };
        let block = |text: &str, heavy: bool| {
            let (weight, size) = if heavy { ("bolder", "medium") } else { ("default", "default") };
            let colour = if heavy { colour } else { "default" };
            let run = json!({ "type": "TextRun", "text": text, "weight": weight, "size": size, "color": colour });
            json!({ "type": "RichTextBlock", "inlines": [run] })
        };
        let mut body = vec![block(&self.headline(), true)];
        body.extend(self.lines().iter().map(|line| block(line, false)));
        let actions =
            self.link.iter().map(|link| json!({ "type": "Action.OpenUrl", "title": "Open the console", "url": link }));
        json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "fallbackText": self.headline(),
                    "msteams": { "width": "Full" },
                    "body": body,
                    "actions": actions.collect::<Vec<_>>(),
                },
            }],
        })
    }
}

fn link(console: &str) -> String {
    format!("{}/console", console.trim_end_matches('/'))
}

fn capital(severity: Severity) -> String {
    let word = severity.as_str();
    word[..1].to_ascii_uppercase() + &word[1..]
}

/// Nothing that ends a line, starts a header or turns the direction of writing.
pub(super) fn one_line(text: &str) -> String {
    let spaced = text.chars().map(|letter| {
        let breaks = letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
        let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if breaks || turns { ' ' } else { letter }
    });
    spaced.collect()
}

/// To the second, which is what people read.
fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Inside a link the bar separates; a URL spells all four otherwise.
fn slack_url(url: &str) -> String {
    url.replace('&', "&amp;").replace('<', "%3C").replace('>', "%3E").replace('|', "%7C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    fn notice(what: &str) -> Notice {
        Notice {
            schema: SCHEMA.to_owned(),
            kind: "raised".to_owned(),
            alert_id: Some("alr_1".to_owned()),
            rule: "exceptions".to_owned(),
            severity: Severity::Critical,
            what: what.to_owned(),
            since: from_micros(1_772_360_130_123_456),
            ended_at: None,
            waiting: 42,
            next: "add the row".to_owned(),
            link: Some("https://crossdock.example.com/console".to_owned()),
        }
    }

    const HOSTILE: &str = "SKU <!channel> *a* _b_ <https://evil.example|here> [x](https://evil.example) & \r\nBcc: all@example.com\u{202e}";

    #[test]
    fn a_message_says_what_since_when_how_much_is_safe_and_what_to_do() {
        let text = notice("A SKU is not in the table").text();
        assert_eq!(
            text,
            "[Critical] A SKU is not in the table\n\nSince 2026-03-01 10:15:30 UTC.\n42 records wait; all of them are safe \
             with us.\nNext: add the row.\nhttps://crossdock.example.com/console\n"
        );
        let over = Notice {
            kind: "resolved".to_owned(),
            ended_at: Some(from_micros(1_772_360_130_123_456 + 600_000_000)),
            ..notice("A SKU is not in the table")
        };
        assert_eq!(over.headline(), "[Over] A SKU is not in the table");
        assert_eq!(
            over.lines(),
            ["It began 2026-03-01 10:15:30 UTC and was over 2026-03-01 10:25:30 UTC, after 10 minutes."]
        );
    }

    #[test]
    fn hostile_words_stay_words_in_slack() {
        let text = notice(HOSTILE).slack();
        assert_eq!(
            (&text["mrkdwn"], &text["parse"], &text["link_names"]),
            (&json!(false), &json!("none"), &json!(false))
        );
        let text = text["text"].as_str().unwrap();
        assert!(!text.contains("<!") && !text.contains("<https://evil"), "{text}");
        assert!(text.contains("&lt;!channel&gt;") && text.contains(" &amp; "), "{text}");
        assert_eq!(text.matches('<').count(), 1, "our own link alone: {text}");
        assert_eq!(text.lines().count(), 5, "{text}");
    }

    #[test]
    fn hostile_words_stay_words_in_teams() {
        let card = notice(HOSTILE).teams();
        let body = card["attachments"][0]["content"]["body"].as_array().unwrap().clone();
        assert!(body.iter().all(|block| block["type"] == "RichTextBlock" && block["inlines"][0]["type"] == "TextRun"));
        assert!(!card.to_string().contains("\"TextBlock\""), "a text block would read markdown");
        assert_eq!(card["attachments"][0]["content"]["actions"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_headline_is_one_line() {
        let headline = notice(HOSTILE).headline();
        assert!(!headline.contains(['\r', '\n', '\u{202e}']), "{headline:?}");
    }

    #[test]
    fn a_notice_goes_through_the_outbox_unchanged() {
        let notice = notice(HOSTILE);
        let text = serde_json::to_string(&notice).unwrap();
        assert_eq!(serde_json::from_str::<Notice>(&text).unwrap(), notice);
    }
}
