//! `lifeboat completions` and `lifeboat man`: the papers of every program.
//!
//! Each program makes its own from its own command line (`PROGRAM --generate KIND`); this one
//! gathers them, because it links no stage. A program that is not installed has no papers.

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::error::Error;
use crate::find;
use clap::{Command, CommandFactory};
use contract::{GENERATE, SECTION_OF_STAGES, Shell, man_page};
use std::path::Path;
use std::process::Stdio;

/// Programs that are no step of a run.
const OTHER_PROGRAMS: [&str; 9] =
    ["adopt", "doctor", "fetch", "restore", "drill", "sync", "scrub", "catalogue", "notify"];
/// Section 1 has the verbs, as people type them. `lifeboat-fetch`, the program, is another thing
/// than `lifeboat fetch`, so the programs of the stages are in section 8.
const SECTION_OF_VERBS: &str = "1";

/// `lifeboat STAGE …` is the program `lifeboat-STAGE`: its options are completed, too.
const BASH_STAGES: &str = r#"
_lifeboat_or_stage() {
    local stage="${COMP_WORDS[1]}"
    if [[ "$COMP_CWORD" -gt 1 && " STAGES " == *" $stage "* ]]; then
        COMP_WORDS=("lifeboat-$stage" "${COMP_WORDS[@]:2}")
        COMP_CWORD=$((COMP_CWORD - 1))
        "_lifeboat__$stage" "lifeboat-$stage" "$2" "$3"
    else
        _lifeboat "$@"
    fi
}
complete -F _lifeboat_or_stage -o bashdefault -o default lifeboat
"#;

/// One script for this program and all of the stages' that are installed.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Error> {
    let installed = installed();
    let verbs = installed.iter().filter(|name| !is_verb(name));
    let stages: Vec<&str> = verbs.copied().collect();
    let mut command = Cli::command();
    for verb in stages.iter().copied().chain(["keygen", "keygen-signing"]) {
        command = command.subcommand(Command::new(verb));
    }
    let mut script = args.shell.script(command);
    for stage in installed {
        script.extend(ask(stage, args.shell.word())?);
    }
    if args.shell == Shell::Bash {
        script.extend(BASH_STAGES.replace("STAGES", &stages.join(" ")).into_bytes());
    }
    contract::print(script).map_err(Error::Output)
}

/// A page for this program, each of its verbs, and each program of a stage.
pub(crate) fn man(args: &ManArgs) -> Result<(), Error> {
    durable::create_private_dir(&args.into)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    for verb in command.get_subcommands().cloned() {
        let name = format!("lifeboat-{}", verb.get_name());
        write(&args.into, &name, SECTION_OF_VERBS, &page(verb)?)?;
    }
    write(&args.into, "lifeboat", SECTION_OF_VERBS, &page(command)?)?;
    for stage in installed() {
        write(&args.into, &format!("lifeboat-{stage}"), SECTION_OF_STAGES, &ask(stage, "man")?)?;
    }
    tracing::info!("wrote the man pages to {}", args.into.display());
    Ok(())
}

fn page(command: Command) -> Result<Vec<u8>, Error> {
    man_page(command, SECTION_OF_VERBS).map_err(Error::Output)
}

fn write(directory: &Path, name: &str, section: &str, text: &[u8]) -> Result<(), Error> {
    Ok(durable::replace(&directory.join(format!("{name}.{section}")), text)?)
}

/// The programs of the stages that are on this machine.
fn installed() -> Vec<&'static str> {
    let all = config::STAGES.into_iter().chain(OTHER_PROGRAMS);
    all.filter(|stage| find::stage(stage).is_ok()).collect()
}

fn is_verb(name: &str) -> bool {
    Cli::command().get_subcommands().any(|verb| verb.get_name() == name)
}

/// Has a program make one of its papers.
fn ask(stage: &str, kind: &str) -> Result<Vec<u8>, Error> {
    let path = find::stage(stage)?;
    let program = format!("lifeboat-{stage}");
    let output = std::process::Command::new(&path)
        .args([GENERATE, kind])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start { program: program.clone(), source })?;
    match output.status.code() {
        Some(0) => Ok(output.stdout),
        code => Err(Error::Program { program, code: code.unwrap_or(1) }),
    }
}
