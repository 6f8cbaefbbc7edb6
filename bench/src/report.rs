//! `bench report`: one HTML page with nothing outside of it, light and dark.

mod chart;
mod charts;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::compare::{compare, short};
use crate::result::{Better, Outcome};

const STYLE: &str = include_str!("report/style.css");

/// Writes the page of these results; of two or more, the first and the last are compared.
pub(crate) fn write(outcomes: &[Outcome], path: &Path) -> anyhow::Result<()> {
    std::fs::write(path, page(outcomes)?).with_context(|| format!("cannot write {}", path.display()))
}

fn page(outcomes: &[Outcome]) -> anyhow::Result<String> {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Postrider bench</title><style>{STYLE}</style></head><body><main>"
    );
    for outcome in outcomes {
        one(outcome, &mut page)?;
    }
    if let [first, .., last] = outcomes {
        beside(first, last, &mut page)?;
    }
    page.push_str("</main></body></html>\n");
    Ok(page)
}

fn one(outcome: &Outcome, page: &mut String) -> anyhow::Result<()> {
    let machine = &outcome.machine;
    let commit = outcome.commit.as_deref().unwrap_or("unknown commit");
    write!(
        page,
        "<header><h1>{} <small>{}</small></h1><p>Postrider {}, {} · {} cores of {} · Linux {} · {:.0} GiB · load {} before, \
         {} after</p></header>",
        escape(&outcome.kind),
        escape(&outcome.at),
        escape(&outcome.version),
        escape(commit),
        machine.cores,
        escape(&machine.processor),
        escape(&machine.kernel),
        machine.before.total as f64 / 1024.0 / 1024.0,
        escape(&machine.load_before),
        escape(&machine.load_after),
    )?;
    verdict(outcome, page)?;
    page.push_str("<div class=\"charts\">");
    for chart in charts::of(outcome) {
        page.push_str(&chart.svg()?);
    }
    page.push_str("</div>");
    figures(outcome, page)?;
    page.push_str("<details><summary>Settings</summary><table>");
    for (name, value) in &outcome.settings {
        write!(page, "<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(&value.to_string()))?;
    }
    page.push_str("</table></details>");
    counters(outcome, page)
}

/// Whether everything arrived, and what went wrong.
fn verdict(outcome: &Outcome, page: &mut String) -> anyhow::Result<()> {
    if let Some(ledger) = &outcome.ledger {
        let (class, text) = if ledger.sound() {
            ("good", format!("{} accepted, each acknowledged once and in order", ledger.accepted))
        } else {
            ("bad", format!("{} accepted: {}", ledger.accepted, ledger.faults()))
        };
        write!(page, "<p class=\"verdict {class}\">{}</p>", escape(&text))?;
    }
    if !outcome.problems.is_empty() {
        page.push_str("<ul class=\"problems\">");
        for problem in &outcome.problems {
            write!(page, "<li>{}</li>", escape(problem))?;
        }
        page.push_str("</ul>");
    }
    Ok(())
}

fn figures(outcome: &Outcome, page: &mut String) -> anyhow::Result<()> {
    page.push_str("<table class=\"figures\"><tr><th>figure</th><th>value</th><th></th><th>better</th></tr>");
    for (name, figure) in &outcome.figures {
        let better = match figure.better {
            Better::Lower => "less",
            Better::Higher => "more",
            Better::Neither => "",
        };
        let (name, unit) = (escape(name), escape(&figure.unit));
        write!(
            page,
            "<tr><th>{name}</th><td>{}</td><td>{unit}</td><td>{better}</td></tr>",
            short(figure.value)
        )?;
    }
    page.push_str("</table>");
    Ok(())
}

fn counters(outcome: &Outcome, page: &mut String) -> anyhow::Result<()> {
    if outcome.metrics.is_empty() {
        return Ok(());
    }
    page.push_str("<details><summary>Counters, by how much they grew</summary><table>");
    for (name, grown) in &outcome.metrics {
        write!(page, "<tr><th>{}</th><td>{}</td></tr>", escape(name), short(*grown))?;
    }
    page.push_str("</table></details>");
    Ok(())
}

fn beside(before: &Outcome, after: &Outcome, page: &mut String) -> anyhow::Result<()> {
    page.push_str("<h1>First and last</h1><pre>");
    for line in compare(before, after) {
        writeln!(page, "{}", escape(&line.to_string()))?;
    }
    page.push_str("</pre>");
    Ok(())
}

/// Text as HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            plain => escaped.push(plain),
        }
    }
    escaped
}

#[cfg(test)]
#[path = "report/tests.rs"]
mod tests;
