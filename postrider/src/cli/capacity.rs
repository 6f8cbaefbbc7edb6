//! `postrider capacity`: what an installation of a given size needs.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::print;
use crate::capacity::{Coefficients, Demand, Plan, Settings, markdown, text};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    demand: Demand,
    /// TOML with coefficients to use instead of the committed ones of the same names
    #[arg(long, value_name = "FILE")]
    coefficients: Option<PathBuf>,
    /// One JSON object, coefficients included
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// As the page docs/CAPACITY.md
    #[arg(long)]
    markdown: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mistakes = arguments.demand.mistakes();
    if !mistakes.is_empty() {
        return Err(Failure::usage(mistakes.join("\n")));
    }
    let coefficients = match &arguments.coefficients {
        None => Coefficients::committed()?,
        Some(file) => {
            let named =
                |error: &dyn std::fmt::Display| Failure::usage(format_args!("{}: {error}", file.display()));
            let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
            Coefficients::with(&text).map_err(|error| named(&error))?
        }
    };
    let settings = Settings::defaults();
    let plan = Plan::of(&arguments.demand, &coefficients, &settings);
    let report = if arguments.json {
        serde_json::to_string_pretty(&serde_json::json!({ "plan": plan, "coefficients": coefficients }))?
    } else if arguments.markdown {
        markdown(&plan, &coefficients, &settings)
    } else {
        text(&plan)
    };
    Ok(print::line(report.trim_end())?)
}
