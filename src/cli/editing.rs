//! `crossdock exceptions edit`: the document that a destination refused, in other words.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::Value;

use super::{Outcome, Shared, open, print, replay};
use crate::access::Actor;
use crate::config::Loaded;
use crate::envelope::ids::{DocumentId, ExceptionId};
use crate::exceptions::edit::{self, Content, EditError, Edited, Wanted};
use crate::store::SharedStore;

/// What shall be different, and why.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("how").multiple(true))]
pub struct Edit {
    /// `exc_…`: of a delivery that was refused
    id: ExceptionId,
    /// Let a place of the document hold this text
    #[arg(long = "set", value_name = "/PLACE=TEXT", value_parser = place, group = "how")]
    set: Vec<(String, Value)>,
    /// Let a place of the document hold nothing
    #[arg(long, value_name = "/PLACE", group = "how")]
    clear: Vec<String>,
    /// The whole document as it shall be; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["set", "clear"], group = "how")]
    document: Option<PathBuf>,
    /// Only if the delivery still has this document, `doc_…`
    #[arg(long, value_name = "DOC_ID")]
    from: Option<DocumentId>,
    /// Write nothing; show what would change
    #[arg(long, requires = "how")]
    dry_run: bool,
    /// Kept with the document and in the audit
    #[arg(long, default_value = "")]
    reason: String,
}

fn place(text: &str) -> Result<(String, Value), String> {
    let (path, text) = text.split_once('=').ok_or("write /PLACE=TEXT, such as /order/shipping_address/city=Leeds")?;
    Ok((path.to_owned(), Value::from(text)))
}

/// Edits, shows what that would come to, or prints the document where nothing is said.
pub async fn run(verb: Edit, loaded: &Loaded, store: &SharedStore, shared: &Shared) -> anyhow::Result<Outcome> {
    let exception = store.exception(verb.id).await?;
    let exception =
        exception.ok_or_else(|| anyhow!("{} does not exist; `crossdock exceptions` lists them", verb.id))?;
    let Some(delivery) = exception.delivery_id else {
        bail!(
            "no document was made of {}'s record: put its cause right, and replay it (`crossdock exceptions explain {}`)",
            verb.id,
            exception.code
        );
    };
    let (_, parked) = store.delivery_origin(delivery).await?.ok_or_else(|| anyhow!("{delivery} does not exist"))?;
    let set: Vec<_> = verb.set.into_iter().chain(verb.clear.into_iter().map(|path| (path, Value::Null))).collect();
    let content = match verb.document {
        None if set.is_empty() => {
            eprintln!("{} is the document; --set, --clear and --document change it", parked.document_id);
            let document: Value = serde_json::from_slice(&parked.document).context("the document is gone")?;
            print::json(&document)?;
            return Ok(Outcome::Done);
        }
        None => Content::Set(set),
        Some(file) => Content::Whole(
            serde_json::from_slice(&open::read(&file)?)
                .with_context(|| format!("{} is not a JSON document", file.display()))?,
        ),
    };
    let wanted = Wanted { document: verb.from.unwrap_or(parked.document_id), content, sees_buyers: true };
    let desk = replay::desk(loaded, store).await?;
    let edited = if verb.dry_run {
        edit::preview(&desk, delivery, &wanted).await
    } else {
        let mut act = Actor::at_the_command_line().act("document.edit", delivery, desk.clock.now());
        act.reason = verb.reason;
        edit::edit(&desk, delivery, &wanted, act, None).await
    };
    let edited = match edited {
        Ok(edited) => edited,
        Err(EditError::Refused(problems)) => {
            for problem in problems {
                eprintln!("{}", print::visible(format!("{} {}", problem.path, problem.message).trim()));
            }
            bail!("the document was not changed");
        }
        Err(error) => return Err(error.into()),
    };
    store.close().await?;
    show(&edited, shared.json)
}

fn show(edited: &Edited, json: bool) -> anyhow::Result<Outcome> {
    if json {
        print::json(edited)?;
        return Ok(Outcome::Done);
    }
    for change in &edited.changes {
        let line = format!("  {} {}: {} → {}", edited.destination, change.path, change.before, change.after);
        print::out(&format!("{}\n", print::visible(&line)))?;
    }
    if let Some(new) = edited.new_delivery_id {
        print::out(&format!("{new}  will be sent in the place of {}\n", edited.delivery_id))?;
    }
    eprintln!("{}", print::visible(&edited.explanation));
    Ok(Outcome::Done)
}
