//! `crossdock expand`: orders in, sales orders out, nothing touched.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Outcome, Shared, open, print};
use crate::api::expander::Expander;
use crate::api::state::ExpansionProblem;
use crate::app;
use crate::catalogue::Catalogues;
use crate::demo::table;
use crate::domain::mapping::{MappingRow, Mappings, Table};
use crate::domain::policy::Policies;
use crate::domain::sales_order::SalesOrder;
use crate::store::{SharedStore, StoreError};
use clap::Args;

/// Which orders, for whom.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  crossdock expand order.json\n  \
                        curl -s https://shop.example.com/rest/V1/orders/42 | crossdock expand --json -\n\n\
                        Takes what Commerce sends in any of its spellings: a REST order, an event, a webhook body, an\n\
                        array, a search result. With a configuration its policies, the store's mapping tables\n\
                        and what is kept of the catalogue apply.\n\
                        Exit code 1 when an order cannot be expanded; standard error says why.")]
pub struct Expand {
    /// Whose mappings and policies apply
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Files with orders; "-" is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// The documents of one file, for a destination.
pub(super) struct Documents {
    /// One an order that can be expanded.
    pub(super) documents: Vec<SalesOrder>,
    /// What was complained of.
    pub(super) problems: usize,
}

/// Expands a file for a destination and complains of what cannot be.
pub(super) async fn documents(destination: &str, file: &Path, shared: &Shared) -> anyhow::Result<Documents> {
    let ground = ground(Some(destination), shared).await?;
    let (mut documents, mut problems) = (Vec::new(), 0);
    match ground.expander(destination).expand(&open::read(file)?) {
        Ok(expansions) => {
            for order in expansions.orders {
                problems += complain(file, &order.problems);
                documents.extend(order.sales_order.map(|document| *document));
            }
        }
        Err(finding) => {
            problems += 1;
            eprintln!("{}: {}", file.display(), print::visible(&finding.message));
        }
    }
    Ok(Documents { documents, problems })
}

/// What the expansion goes by.
struct Ground {
    system: String,
    mappings: Mappings,
    policies: Policies,
    /// What the store keeps of the catalogue; nobody is asked.
    catalogues: Option<Arc<Catalogues>>,
}

impl Ground {
    fn expander<'g>(&'g self, destination: &'g str) -> Expander<'g> {
        Expander {
            system: &self.system,
            mappings: &self.mappings,
            policies: &self.policies,
            destination,
            shelf: self.catalogues.as_ref().map(|catalogues| catalogues.shelf()),
            now: open::clock().now(),
        }
    }
}

/// Expands every file; one order prints one document, several print an array.
pub async fn run(verb: Expand, shared: &Shared) -> anyhow::Result<Outcome> {
    let ground = ground(verb.destination.as_deref(), shared).await?;
    let expander = ground.expander(verb.destination.as_deref().unwrap_or_default());
    let mut documents = Vec::new();
    let mut problems = 0;
    let mut list = verb.files.len() > 1;
    for file in &verb.files {
        let body = open::read(file)?;
        match expander.expand(&body) {
            Ok(expansions) => {
                list |= expansions.list;
                for order in expansions.orders {
                    problems += complain(file, &order.problems);
                    documents.extend(order.sales_order.map(|document| *document));
                }
            }
            Err(finding) => {
                problems += 1;
                eprintln!("{}: {}", file.display(), print::visible(&finding.message));
            }
        }
    }
    show(documents, list, shared.json)?;
    Ok(if problems == 0 { Outcome::Done } else { Outcome::Findings })
}

fn complain(file: &Path, problems: &[ExpansionProblem]) -> usize {
    for problem in problems {
        let line = format!("{}: {} {} {}", problem.path, problem.code, problem.message, problem.remedy);
        eprintln!("{}: {}", file.display(), print::visible(&line));
    }
    problems.len()
}

fn show(mut all: Vec<SalesOrder>, list: bool, json: bool) -> anyhow::Result<()> {
    if !json {
        let tables: Result<Vec<String>, serde_json::Error> =
            all.iter().map(|document| Ok(table::render(&serde_json::to_value(document)?))).collect();
        return print::out(&tables?.join("\n"));
    }
    match all.pop() {
        Some(only) if !list => print::json(&only),
        Some(newest) => {
            all.push(newest);
            print::json(&all)
        }
        None => Ok(()),
    }
}

/// The configuration is optional here: without one the defaults apply and no table is loaded.
async fn ground(destination: Option<&str>, shared: &Shared) -> anyhow::Result<Ground> {
    let Some(path) = open::config_path(shared) else {
        if let Some(name) = destination {
            anyhow::bail!("--destination {name} needs a configuration that knows it; add --config FILE");
        }
        return Ok(Ground {
            system: "commerce".to_owned(),
            mappings: Mappings::default(),
            policies: Policies::default(),
            catalogues: None,
        });
    };
    let config = open::load(&path).map_err(|problems| open::invalid(&path, &problems))?.config;
    let policies = match destination {
        None => config.policies.clone(),
        Some(name) => {
            let Some(destination) = config.destinations.get(name) else {
                let known: Vec<&str> = config.destinations.keys().map(String::as_str).collect();
                anyhow::bail!("no destination is called {name}; there are: {}", known.join(", "));
            };
            destination.policies.clone()
        }
    };
    let system = config.commerce.keys().next().cloned().unwrap_or_else(|| "commerce".to_owned());
    let (mappings, catalogues) = if open::store_path(&config)?.exists() {
        let store = open::store(&config)?;
        let mappings = mappings(&store).await?;
        let catalogues = app::catalogues_kept(&config, &store, open::clock()).await?;
        store.close().await?;
        (mappings, Some(catalogues))
    } else {
        (Mappings::default(), None)
    };
    Ok(Ground { system, mappings, policies, catalogues })
}

async fn mappings(store: &SharedStore) -> Result<Mappings, StoreError> {
    let version = store.mappings_version().await?;
    let mut rows = Vec::new();
    for table in Table::ALL {
        for row in store.mapping_rows(table.as_str().to_owned()).await? {
            let destination = (!row.destination.is_empty()).then_some(row.destination);
            rows.push((table, MappingRow { key: row.key, value: row.value, destination }));
        }
    }
    Ok(Mappings::new(version, rows))
}
