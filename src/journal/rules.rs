//! What an answer of the journal means and where reading goes on. Pure.

use std::time::Duration;

use reqwest::Url;
use serde_json::value::RawValue;

/// The shortest pause at the journal's end, so that an answer that asks for none is no busy loop.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause that the journal may ask for.
const PAUSE_MAX: Duration = Duration::from_hours(1);

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// 200, 204, 410.
    pub status: u16,
    /// The values of its `Link` headers.
    pub links: Vec<String>,
    /// Its `Retry-After`, where that is a number of seconds.
    pub retry_after: Option<Duration>,
    /// The page.
    pub body: Vec<u8>,
}

/// What is done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Events are taken in, then reading goes on at `next`.
    Page {
        /// Each event's own JSON text as it was sent.
        events: Vec<String>,
        /// Kept once all of them are durable.
        next: Url,
    },
    /// Nothing newer is there now.
    End {
        /// Where what is newer will be.
        next: Url,
        /// What the journal asks us to wait.
        pause: Option<Duration>,
    },
    /// The position is older than what the journal keeps: it is read from its oldest event, and a gap is left.
    Gone,
}

/// Why reading stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// 401 or 403.
    #[error("the journal refused our credentials ({0})")]
    Unauthorized(u16),
    /// Another status.
    #[error("the journal answered {status}")]
    Status {
        /// Its status.
        status: u16,
        /// What it asked for.
        retry_after: Option<Duration>,
    },
    /// A body that is no page.
    #[error("the journal's page cannot be read: {0}")]
    Unreadable(String),
    /// A link to anywhere but the configured journal: our token does not go there.
    #[error("the journal links to {0}, which is not the configured origin")]
    Elsewhere(String),
    /// Events without a way on, or a way on that leads back to the same page.
    #[error("the journal does not say where its next page is")]
    NoWayOn,
}

#[derive(serde::Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    events: Vec<Entry<'a>>,
}

#[derive(serde::Deserialize)]
struct Entry<'a> {
    position: Option<String>,
    #[serde(borrow)]
    event: &'a RawValue,
}

/// The first request ever: the journal's end. What it holds already is not taken in unasked.
pub fn first(home: &Url) -> Url {
    with(home, "latest", "true")
}

/// A position as it is kept: with the journal it is of, as two registrations share a host.
pub fn written(home: &Url, next: &Url) -> String {
    // Neither holds a space: addresses are encoded.
    format!("{home} {next}")
}

/// Where a kept position leads; `None` if it is none of this journal (another one was configured since).
pub fn resumed(home: &Url, kept: &str) -> Option<Url> {
    let (of, next) = kept.split_once(' ')?;
    let next = Url::parse(next).ok()?;
    (of == home.as_str() && is_at_home(home, &next)).then_some(next)
}

/// What `answer` to a request of `asked` means.
///
/// # Errors
/// When nothing may be taken from it; the position stays.
pub fn turn(home: &Url, asked: &Url, answer: &Answer) -> Result<Turn, Refused> {
    let pause = answer.retry_after.map(|pause| pause.clamp(PAUSE_MIN, PAUSE_MAX));
    match answer.status {
        200 => page(home, asked, answer, pause),
        204 => Ok(Turn::End { next: next(home, asked, &answer.links)?.unwrap_or_else(|| asked.clone()), pause }),
        // Without a position there is nothing older to go back to.
        410 if asked != home => Ok(Turn::Gone),
        401 | 403 => Err(Refused::Unauthorized(answer.status)),
        status => Err(Refused::Status { status, retry_after: pause }),
    }
}

fn page(home: &Url, asked: &Url, answer: &Answer, pause: Option<Duration>) -> Result<Turn, Refused> {
    let page: Page<'_> =
        serde_json::from_slice(&answer.body).map_err(|error| Refused::Unreadable(error.to_string()))?;
    let linked = next(home, asked, &answer.links)?;
    let Some(last) = page.events.last() else {
        return Ok(Turn::End { next: linked.unwrap_or_else(|| asked.clone()), pause });
    };
    let counted = || last.position.as_deref().map(|position| with(home, "since", position));
    let next = linked.or_else(counted).filter(|next| next != asked).ok_or(Refused::NoWayOn)?;
    Ok(Turn::Page { events: page.events.iter().map(|entry| entry.event.get().to_owned()).collect(), next })
}

/// The target of `rel="next"`.
fn next(home: &Url, asked: &Url, links: &[String]) -> Result<Option<Url>, Refused> {
    let Some(target) = links.iter().find_map(|header| next_of(header)) else { return Ok(None) };
    let url = asked.join(target).map_err(|_| Refused::Elsewhere("what is no address".to_owned()))?;
    if is_at_home(home, &url) {
        return Ok(Some(url));
    }
    Err(Refused::Elsewhere(url.host_str().unwrap_or("no host").to_owned()))
}

/// RFC 8288: `<target>; rel="next", <target>; rel="count"`. A comma may stand in a target, so targets are cut by brackets.
fn next_of(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, opened)) = rest.split_once('<') {
        let (target, behind) = opened.split_once('>')?;
        let parameters = behind.split_once('<').map_or(behind, |(parameters, _)| parameters);
        if parameters.split([';', ',']).any(is_next) {
            return Some(target);
        }
        rest = behind;
    }
    None
}

fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
    name.trim().eq_ignore_ascii_case("rel") && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
}

fn is_at_home(home: &Url, url: &Url) -> bool {
    url.origin() == home.origin() && url.username().is_empty() && url.password().is_none()
}

fn with(home: &Url, name: &str, value: &str) -> Url {
    let mut url = home.clone();
    url.query_pairs_mut().append_pair(name, value);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Url {
        Url::parse("https://journal.example/events/organizations/1/integrations/2/3").unwrap()
    }

    fn linked(status: u16, link: &str, body: &str) -> Answer {
        Answer { status, links: vec![link.to_owned()], retry_after: None, body: body.as_bytes().to_vec() }
    }

    const ONE: &str =
        r#"{"events":[{"position":"a:1","event":{"eventid":"x","n":1.50}}],"_page":{"last":"a:1","count":1}}"#;

    #[test]
    fn a_page_leads_to_its_next_link_and_keeps_the_events_as_they_were_sent() {
        let link = r#"</events/count,x>; rel="count", </events/organizations/1?since=a%3A1>; rel="next""#;
        let turn = turn(&home(), &first(&home()), &linked(200, link, ONE)).unwrap();
        let next = Url::parse("https://journal.example/events/organizations/1?since=a%3A1").unwrap();
        assert_eq!(turn, Turn::Page { events: vec![r#"{"eventid":"x","n":1.50}"#.to_owned()], next });
    }

    #[test]
    fn a_link_to_another_origin_is_refused() {
        for target in [
            "https://thief.example/x",
            "//thief.example/x",
            "http://journal.example/x",
            "https://journal.example:444/x",
            "https://u:p@journal.example/x",
            "https://journal.example@thief.example/x",
        ] {
            for status in [200, 204] {
                let answer = linked(status, &format!("<{target}>; rel=next"), ONE);
                let refused = turn(&home(), &home(), &answer);
                assert!(matches!(refused, Err(Refused::Elsewhere(_))), "{target}: {refused:?}");
            }
        }
        let kept = written(&home(), &Url::parse("https://thief.example/x").unwrap());
        assert_eq!(resumed(&home(), &kept), None);
    }

    #[test]
    fn a_position_of_another_registration_on_the_same_host_is_not_followed() {
        let next = with(&home(), "since", "a b");
        assert_eq!(resumed(&home(), &written(&home(), &next)), Some(next.clone()));
        let other = Url::parse("https://journal.example/events/organizations/1/integrations/2/4").unwrap();
        assert_eq!(resumed(&other, &written(&home(), &next)), None);
    }

    #[test]
    fn a_page_without_a_link_goes_on_behind_its_last_event() {
        let answer = Answer { links: Vec::new(), ..linked(200, "", ONE) };
        let Ok(Turn::Page { next, .. }) = turn(&home(), &home(), &answer) else { panic!("a page") };
        assert_eq!(next.query(), Some("since=a%3A1"));
        assert_eq!(turn(&home(), &next, &answer), Err(Refused::NoWayOn), "the same page for ever");
    }

    #[test]
    fn the_end_waits_as_long_as_it_is_asked_to_within_reason() {
        for (asked, waited) in [(0, 1), (10, 10), (1_000_000, 3_600)] {
            let retry_after = Some(Duration::from_secs(asked));
            let answer = Answer { retry_after, ..linked(204, "</n?since=b>; rel=\"next\"", "") };
            let Ok(Turn::End { next, pause }) = turn(&home(), &home(), &answer) else { panic!("the end") };
            assert_eq!((next.path(), pause), ("/n", Some(Duration::from_secs(waited))));
        }
    }

    #[test]
    fn an_expired_position_is_a_gap_but_an_absent_journal_is_not() {
        let gone = Answer { status: 410, ..Answer::default() };
        assert_eq!(turn(&home(), &with(&home(), "since", "old"), &gone), Ok(Turn::Gone));
        assert!(matches!(turn(&home(), &home(), &gone), Err(Refused::Status { status: 410, .. })));
        let refused = Answer { status: 403, ..Answer::default() };
        assert_eq!(turn(&home(), &home(), &refused), Err(Refused::Unauthorized(403)));
    }

    #[test]
    fn what_is_no_page_is_refused_whole() {
        for body in ["", "[]", "{}", "<html>", r#"{"events":[{"position":"a"}]}"#] {
            let refused = turn(&home(), &home(), &linked(200, "</n>; rel=next", body));
            assert!(matches!(refused, Err(Refused::Unreadable(_))), "{body}: {refused:?}");
        }
    }
}
