//! A plan as a script for one node. It does nothing before somebody has answered `yes`, step by
//! step, and stops at the first command that fails. With `--rollback` it takes the way back.

use super::{Recovery, Step};
use crate::views::quoted;
use contract::visible;
use std::fmt::Write as _;

const HEAD: &str = r#"#!/usr/bin/env bash
# Made by `lifeboat restore --plan`. It asks before each step.
#   bash THIS-FILE              the recovery
#   bash THIS-FILE --rollback   as it was before
set -euo pipefail

ask() {
  local answer
  printf '\n%s\n' "$1"
  read -r -p '  yes, skip or stop? ' answer </dev/tty
  case "$answer" in
    yes) return 0 ;;
    skip) return 1 ;;
    *) printf 'stopped\n'; exit 1 ;;
  esac
}
"#;

pub(super) fn render(recovery: &Recovery<'_>, node: &str) -> String {
    let mut script = HEAD.to_owned();
    let about = format!(
        "Recovery of cluster {}, node {node}, from {}, taken {}",
        recovery.cluster, recovery.backup, recovery.taken_at
    );
    // Writing to a string cannot fail.
    let _ = writeln!(script, "\nprintf '%s\\n' {}", quoted(&visible(&about)));
    let this = format!("This is node {node}, and its name here is");
    let _ = writeln!(script, "ask {}\" $(uname -n)\"", quoted(&visible(&this)));
    script += "\nif [ \"${1:-}\" = --rollback ]; then\n";
    recovery.rollback.iter().for_each(|step| render_step(&mut script, "R", step, node));
    script += "  printf 'done\\n'\n  exit 0\nfi\n\n";
    // The same depth as above, so that both are made alike.
    script += "{\n";
    recovery.steps.iter().for_each(|step| render_step(&mut script, "", step, node));
    script += "  printf 'done\\n'\n}\n";
    script
}

fn render_step(script: &mut String, prefix: &str, step: &Step<'_>, node: &str) {
    let Some(on) = step.nodes.iter().find(|on| on.node == node) else { return };
    let title = format!("{prefix}{}. {}\n  {}", step.number, step.title, step.why);
    let title = format!("{title}\n  All nodes have taken the steps before?");
    let _ = writeln!(script, "  if ask {}; then", quoted(&visible(&title)));
    match on.commands.as_slice() {
        [] => script.push_str("    :\n"),
        commands => commands.iter().for_each(|command| {
            let _ = writeln!(script, "    {command}");
        }),
    }
    script.push_str("  fi\n");
}
