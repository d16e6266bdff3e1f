//! The log: JSON lines on standard error, or readable lines on a terminal.
//!
//! A field from outside can never start a line or drive a terminal: JSON escapes control characters, and readable lines
//! pass through [`OneLine`], which does the same (DAT-4).

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::str::FromStr;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Used when neither `--log` nor `CROSSDOCK_LOG` says otherwise.
pub const DEFAULT_FILTER: &str = "info";

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not read as `level` or `target=level,…`.
    #[error("the log filter \"{filter}\" is not of the form \"info\" or \"crossdock::delivery=debug,warn\"")]
    Filter {
        /// As given.
        filter: String,
        /// What the parser said.
        source: ParseError,
    },
}

/// Sets up the log of this process once; later calls change nothing. `filter` is `info` or `crossdock::api=debug,warn`.
pub fn start(filter: &str) -> Result<(), LogError> {
    let targets = Targets::from_str(filter).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })?;
    let layer = tracing_subscriber::fmt::layer().with_timer(Rfc3339);
    let layer = if io::stderr().is_terminal() {
        layer.with_ansi(false).with_writer(|| OneLine(io::stderr())).with_filter(targets).boxed()
    } else {
        layer.json().flatten_event(true).with_span_list(false).with_writer(io::stderr).with_filter(targets).boxed()
    };
    // A second start (tests, a verb inside a process that already logs) keeps the first.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    Ok(())
}

/// A layer that writes JSON lines to `writer`, for tests of what a line looks like.
pub fn json_layer<S, W>(writer: W) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .with_timer(Rfc3339)
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(writer)
}

/// Times as everywhere else in the product: RFC 3339, UTC.
struct Rfc3339;

impl FormatTime for Rfc3339 {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        use crate::clock::Clock as _;
        write!(writer, "{:.6}", crate::clock::SystemClock.now())
    }
}

/// Escapes control characters of a line, all but the line feed that ends it. The subscriber hands over whole lines.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (body, end) = line.strip_suffix(b"\n").map_or((line, ""), |body| (body, "\n"));
        let mut escaped = String::with_capacity(line.len());
        for letter in String::from_utf8_lossy(body).chars() {
            if letter.is_control() { escaped.extend(letter.escape_default()) } else { escaped.push(letter) }
        }
        escaped.push_str(end);
        self.0.write_all(escaped.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn dat_4_a_field_from_outside_never_starts_a_line() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::registry().with(json_layer(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("request", request_id = "req_1");
            let _inside = span.enter();
            tracing::info!(origin = "a\n{\"level\":\"ERROR\"}\u{1b}[31m", "a hook was refused");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "a hook was refused");
        assert_eq!(line["span"]["request_id"], "req_1");
        let at = line["timestamp"].as_str().unwrap();
        assert!(at.parse::<jiff::Timestamp>().is_ok() && at.ends_with('Z'), "{at}");
    }

    #[test]
    fn dat_4_readable_lines_are_escaped_too() {
        let kept = Kept::default();
        OneLine(kept.clone()).write_all("INFO a\r\nERROR forged \u{1b}[2J é\n".as_bytes()).unwrap();
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "INFO a\\r\\nERROR forged \\u{1b}[2J é\n");
    }

    #[test]
    fn a_filter_that_is_not_one_is_named() {
        assert!(start("crossdock=loud").unwrap_err().to_string().contains("crossdock=loud"));
    }
}
