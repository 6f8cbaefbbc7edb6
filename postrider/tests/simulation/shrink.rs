//! Cuts a failing plan down: leaves out actions, many at a time first, as long as the run still fails in some way that it
//! may go.

use super::plan::Plan;
use super::world::{Tracing, World};

/// In how many ways each shorter plan is tried.
const SALTS: u64 = 8;

fn failing(plan: &Plan) -> Option<Plan> {
    let salted = |salt| Plan { salt, ..plan.clone() };
    (0..SALTS).map(salted).find(|plan| !World::run(plan, Tracing::Off).problems.is_empty())
}

/// The shortest plan found that fails; the plan itself, if it does not.
pub(crate) fn shrink(mut plan: Plan) -> Plan {
    let mut chunk = plan.actions.len().div_ceil(2);
    while chunk > 0 {
        let (mut from, mut cut) = (0, false);
        while from < plan.actions.len() {
            let mut shorter = plan.clone();
            shorter.actions.drain(from..(from + chunk).min(plan.actions.len()));
            match failing(&shorter) {
                Some(failing) => (plan, cut) = (failing, true),
                None => from += chunk,
            }
        }
        chunk = match chunk {
            1 if cut => 1,
            1 => 0,
            more => more.div_ceil(2),
        };
    }
    plan
}
