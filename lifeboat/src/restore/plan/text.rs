//! A plan on a terminal.

use super::{OnNode, Recovery, Step};
use crate::views::{age, plural};
use std::fmt::Write as _;

const WIDTH: usize = 96;

pub(super) fn render(recovery: &Recovery<'_>) -> String {
    let mut page =
        format!("Recovery of cluster {}: nothing has been changed yet\n\n", recovery.cluster);
    for (label, text) in head(recovery) {
        paragraph(&mut page, &format!("{label:<10} "), 11, &text);
    }
    for step in &recovery.steps {
        render_step(&mut page, &format!("{}. ", step.number), step, &recovery.nodes);
    }
    page += "\nRollback: as it was before\n";
    for step in &recovery.rollback {
        render_step(&mut page, &format!("R{}. ", step.number), step, &recovery.nodes);
    }
    page
}

/// What the plan is about, line by line; markdown has the same.
pub(super) fn head(recovery: &Recovery<'_>) -> Vec<(&'static str, String)> {
    let mut head = vec![
        ("backup", recovery.backup.to_owned()),
        (
            "taken",
            format!(
                "{} ({} ago: what was written since will be lost)",
                recovery.taken_at,
                age(recovery.age_seconds)
            ),
        ),
    ];
    let raised = recovery.bump.map(|by| format!(", raised to {}", recovery.revision + by));
    head.push(("revision", format!("{}{}", recovery.revision, raised.unwrap_or_default())));
    head.extend(recovery.token.map(|token| ("token", token.to_owned())));
    head.push((
        "flavour",
        match recovery.flavour_because {
            Some(why) => format!("{}, a guess: {why}. --flavour says otherwise", recovery.flavour),
            None => recovery.flavour.to_owned(),
        },
    ));
    let count = plural(i64::try_from(recovery.nodes.len()).unwrap_or(i64::MAX), "node");
    head.push(("nodes", format!("{count}: {}", recovery.nodes.join(", "))));
    let left_out = recovery.left_out.iter();
    head.extend(left_out.map(|who| ("left out", format!("{who}: add it again afterwards"))));
    head.extend(recovery.notes.iter().map(|note| ("note", note.clone())));
    head
}

fn render_step(page: &mut String, number: &str, step: &Step<'_>, nodes: &[&str]) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "\n{number}{}", step.title);
    paragraph(page, "   ", 3, &step.why);
    for (who, commands) in grouped(step, nodes) {
        if nodes.len() > 1 {
            let _ = writeln!(page, "   {who}:");
        }
        commands.iter().for_each(|command| {
            let _ = writeln!(page, "     {command}");
        });
    }
}

/// Nodes with the same commands together.
pub(super) fn grouped<'s>(step: &'s Step<'_>, all: &[&str]) -> Vec<(String, &'s [String])> {
    let mut groups: Vec<(Vec<&str>, &[String])> = Vec::new();
    for OnNode { node, commands } in step.nodes.iter().filter(|on| !on.commands.is_empty()) {
        match groups.iter_mut().find(|(_, known)| known == commands) {
            Some((names, _)) => names.push(node),
            None => groups.push((vec![node], commands)),
        }
    }
    let name = |names: Vec<&str>| match names.len() == all.len() {
        true => "on every node".to_owned(),
        false => format!("on {}", names.join(", ")),
    };
    groups.into_iter().map(|(names, commands)| (name(names), commands)).collect()
}

/// Words between a first indent and the next lines' own.
fn paragraph(page: &mut String, first: &str, indent: usize, text: &str) {
    let mut line = first.to_owned();
    for word in text.split_whitespace() {
        let is_begun = line.trim() != first.trim() || !line.ends_with(' ');
        if line.chars().count() + word.chars().count() >= WIDTH && is_begun {
            page.push_str(line.trim_end());
            page.push('\n');
            line = " ".repeat(indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    page.push_str(line.trim_end());
    page.push('\n');
}
