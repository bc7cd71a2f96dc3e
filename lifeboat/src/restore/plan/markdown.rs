//! A plan as a runbook: to attach to a change record, and to tick off.

use super::text::{grouped, head};
use super::{Recovery, Step};
use std::fmt::Write as _;

pub(super) fn render(recovery: &Recovery<'_>) -> String {
    let mut page = format!("# Recovery of cluster {}\n\n", plain(recovery.cluster));
    page += "Made by `lifeboat restore --plan`. Nothing has been changed yet.\n\n";
    for (label, text) in head(recovery) {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "- **{label}**: {}", plain(&text));
    }
    page += "\n## Steps\n\nAll nodes take a step before one goes on to the next.\n";
    recovery.steps.iter().for_each(|step| section(&mut page, "", step, &recovery.nodes));
    page += "\n## Rollback\n\nAs it was before, if a step failed or the wrong backup was taken.\n";
    recovery.rollback.iter().for_each(|step| section(&mut page, "R", step, &recovery.nodes));
    page
}

fn section(page: &mut String, prefix: &str, step: &Step<'_>, nodes: &[&str]) {
    let _ = writeln!(page, "\n### {prefix}{}. {}\n\n{}", step.number, step.title, step.why);
    for (who, commands) in grouped(step, nodes) {
        let who = if nodes.len() > 1 { who } else { "here".to_owned() };
        let _ = writeln!(page, "\n- [ ] {}\n\n```sh\n{}\n```", plain(&who), commands.join("\n"));
    }
}

/// What a manifest says must not become markup.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_[]<>#|".contains(c) {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}
