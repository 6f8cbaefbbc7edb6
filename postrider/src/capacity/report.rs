//! The plan for people: as text for a terminal, and as the page `docs/CAPACITY.md`, which is the plan for the defaults.
//! Both have the same [blocks](block::Block); `sections` makes them.

mod block;
mod sections;
mod sizes;

use self::block::Block;
use super::{Coefficients, Plan, Settings};

/// The plan as text.
pub(crate) fn text(plan: &Plan) -> String {
    block::text(&sections::plan(plan))
}

/// The whole page: the plan, the same for other sizes, and what it was computed from.
pub(crate) fn markdown(plan: &Plan, coefficients: &Coefficients, settings: &Settings) -> String {
    let mut blocks = vec![Block::Title("Capacity".to_owned()), Block::Text(INTRODUCTION.to_owned())];
    blocks.extend(sections::plan(plan));
    blocks.extend(sizes::blocks(&plan.demand, coefficients, settings));
    blocks.extend(sections::coefficients(coefficients));
    block::markdown(&blocks)
}

const INTRODUCTION: &str = "What an installation needs, computed from what a unit of work costs. `postrider capacity` prints \
this page for any size: `--rate`, `--clients`, `--payload`, `--offline`, `--lifetime`, `--retention-hours`, `--tls`, the size of a \
machine and more (`--help`); `--json` for programs; `--coefficients FILE` for costs measured elsewhere. This page is its output for \
its defaults, `postrider capacity --markdown`, and a test holds it to that. It is arithmetic on measurements of a small machine: read \
what it cannot know before you buy anything.";
