//! `--replace-member`: takes a broken member out and adds it anew, empty, so that it copies the
//! data of the others.
//!
//! Invariants: nothing is changed before the plan was shown and agreed to; between showing and
//! doing the cluster is looked at again; whoever dies half way can type the same again. Does not:
//! touch the member's machine, but says what to do there.

mod carry_out;
mod plan;
#[cfg(test)]
mod tests;

pub(crate) use plan::Refusal;

use crate::args::Args;
use crate::commands::quoted;
use crate::diagnose::{Evidence, STOP_AND_MOVE, Step, diagnose};
use crate::error::Error;
use crate::observation::Observations;
use crate::page;
use crate::stage::Doctor;
use carry_out::Done;
use contract::Exit;
use plan::{Plan, Wish};
use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _};

/// Longer answers are no answers.
const ANSWER_BYTES_MAX: u64 = 64;

pub(crate) async fn run(doctor: &Doctor, name: &str, args: &Args) -> Result<Exit, Error> {
    let wish = Wish { name, peer_urls: &args.peer_url, force: args.force };
    let seen = doctor.examine().await;
    let plan = plan_of(&seen, &wish)?;
    say(&shown(&plan, &seen))?;
    if !args.yes && plan.changes_anything() {
        agreed()?;
        // Reading and thinking take time, in which the next member may have failed.
        let again = plan_of(&doctor.examine().await, &wish)?;
        if again != plan {
            say(&shown(&again, &seen))?;
            agreed()?;
        }
    }
    let again = again(&plan, &seen);
    let done = carry_out::carry_out(&plan, &doctor.settings, &again).await?;
    say(&told(&plan, &done, &seen))?;
    Ok(Exit::Ok)
}

fn plan_of(seen: &Observations, wish: &Wish<'_>) -> Result<Plan, Error> {
    let Some(evidence) = Evidence::of(seen) else {
        return Err(Error::Unreachable { exit: diagnose(seen).verdict.exit });
    };
    plan::plan(&evidence, wish).map_err(|refusal| Error::Refused {
        name: wish.name.to_owned(),
        refusal: Box::new(refusal),
    })
}

fn say(text: &str) -> Result<(), Error> {
    contract::print(contract::visible(text).as_bytes()).map_err(Error::Answer)
}

/// Asks, where there is a person to ask.
fn agreed() -> Result<(), Error> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Error::NotAgreed);
    }
    say("Type yes to go on: ")?;
    let mut answer = String::new();
    let mut line = std::io::Read::take(input.lock(), ANSWER_BYTES_MAX);
    line.read_line(&mut answer).map_err(Error::Answer)?;
    if answer.trim().eq_ignore_ascii_case("yes") { Ok(()) } else { Err(Error::NotAgreed) }
}

/// The command that goes on, wherever this one stopped.
fn again(plan: &Plan, seen: &Observations) -> String {
    let peers = quoted(&plan.peer_urls.join(","));
    let words = format!("--replace-member {} --peer-url {peers} --yes", quoted(&plan.name));
    seen.tools.doctor(&words)
}

/// What is going to be done.
fn shown(plan: &Plan, seen: &Observations) -> String {
    let mut text = format!("Replace {}: {}\n", plan.name, plan.why);
    let mut number = 0;
    let mut line = |what: String| {
        number += 1;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {number}. {what}");
    };
    if let Some(id) = plan.remove {
        line(format!("remove member {id:x} ({})", plan.name));
    }
    if plan.add {
        let kind = if plan.is_learner { "learner" } else { "member" };
        line(format!("add a new, empty {kind} with the peer URL {}", plan.peer_urls.join(",")));
    }
    line(format!("say how to start etcd on {}", plan.name));
    let _ = writeln!(text, "  Through {}. {}", plan.through, plan.margin());
    if plan.changes_anything() {
        let _ = writeln!(text, "If this is interrupted, go on with: {}", again(plan, seen));
    }
    text
}

/// What was done, and what is to be done on the machine.
fn told(plan: &Plan, done: &Done, seen: &Observations) -> String {
    let mut text = String::new();
    let name = &plan.name;
    match plan.remove {
        Some(old) => {
            let _ = writeln!(text, "{name} was removed ({old:x}) and added anew ({:x}).", done.id);
        }
        None if plan.add => {
            let _ = writeln!(text, "{name} was added ({:x}); it had been removed before.", done.id);
        }
        None => {
            let _ =
                writeln!(text, "{name} is added already ({:x}) and waits to be started.", done.id);
        }
    }
    text.push_str(&page::steps(&on_the_machine(plan, done, seen)));
    text
}

fn on_the_machine(plan: &Plan, done: &Done, seen: &Observations) -> Vec<Step> {
    let name = &plan.name;
    let (stop, aside, start) = STOP_AND_MOVE;
    let flags = format!(
        "--name={} --initial-cluster={} --initial-cluster-state=existing \
         --initial-advertise-peer-urls={}",
        quoted(name),
        quoted(&done.initial_cluster),
        quoted(&plan.peer_urls.join(","))
    );
    vec![
        Step::typed("stop etcd, if it runs", stop).on(name),
        Step::typed("move its old data aside (its --data-dir, if that is another)", aside).on(name),
        Step::typed("give it these flags, in its unit or its manifest", flags).on(name),
        Step::typed("start it", start).on(name),
        Step::typed("once it has caught up", seen.tools.doctor("")),
    ]
}
