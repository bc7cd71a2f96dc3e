//! The plan as people read it: a line with a reason for every backup, newest first.

use crate::plans::Plans;
use retention::Plan;
use std::fmt::Write as _;

pub(crate) fn of(plans: &Plans) -> String {
    let mut text = String::new();
    for (destination, plan) in plans {
        one(&mut text, destination, plan);
    }
    text
}

fn one(text: &mut String, destination: &str, plan: &Plan) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{destination}: {} kept, {} to remove, {} ignored",
        plan.kept(),
        plan.removed(),
        plan.ignored()
    );
    for decision in plan.decisions() {
        let taken = decision.taken_at.strftime("%Y-%m-%d %H:%M:%SZ");
        let _ = writeln!(text, "  {taken}  {}  {}", decision.id, decision.action);
    }
}
