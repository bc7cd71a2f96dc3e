//! From the command line to the answer: settings, one or two looks, the diagnosis, and its print.

use crate::args::Args;
use crate::backup::Backup;
use crate::commands::Tools;
use crate::diagnose::{Diagnosis, diagnose};
use crate::error::Error;
use crate::look::{impatient, look};
use crate::observation::Observations;
use crate::page::page;
use crate::replace;
use crate::report::Report;
use config::Pipeline;
use contract::{Clock, Exit};
use etcd::{KUBEADM_DIR, Settings, Sources};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// An election takes a second or two. What may pass by itself is looked at again after that time.
const PAUSE: Duration = Duration::from_secs(2);

/// Everything that a look needs.
pub(crate) struct Doctor {
    pub(crate) settings: Arc<Settings>,
    tools: Tools,
    max_lag: u64,
    backup: Backup,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let mut doctor = Doctor::new(args)?;
    let exit = match &args.replace_member {
        Some(name) => runtime.block_on(replace::run(&doctor, name, args)),
        None => {
            let examined = runtime.block_on(doctor.examine());
            if args.backup_from_stdin {
                // The front reads the catalogue while this one looks.
                doctor.backup = Backup::read(std::io::stdin().lock());
            }
            doctor.answer(examined, args.json)
        }
    };
    // A request that still waits for a member must not hold up the end.
    runtime.shutdown_background();
    exit
}

impl Doctor {
    fn new(args: &Args) -> Result<Self, Error> {
        let config = Pipeline::load(args.stage.config.as_deref())?.capture;
        let variable = |name: &str| std::env::var(name).ok();
        let kubeadm_dir = Path::new(KUBEADM_DIR);
        let sources =
            Sources { args: &args.connect, config: &config, variable: &variable, kubeadm_dir };
        let settings = sources.settings()?;
        Ok(Doctor {
            tools: Tools::new(args, &settings, &variable),
            settings: Arc::new(impatient(&settings)),
            max_lag: config.max_lag,
            backup: Backup::default(),
        })
    }

    /// Looks, and again unless all is well or would not change.
    pub(crate) async fn examine(&self) -> Observations {
        let first = self.look(1).await;
        if !diagnose(&first).may_pass() {
            return first;
        }
        tokio::time::sleep(PAUSE).await;
        self.look(2).await
    }

    async fn look(&self, looks: u32) -> Observations {
        let seen = look(&self.settings).await;
        Observations {
            at: Clock::system().now(),
            looks,
            members: seen.members,
            strays: seen.strays,
            certificates: seen.certificates,
            max_lag: self.max_lag,
            backup: self.backup.clone(),
            tools: self.tools.clone(),
        }
    }

    fn answer(&self, examined: Observations, json: bool) -> Result<Exit, Error> {
        let seen = Observations { backup: self.backup.clone(), ..examined };
        let diagnosis = diagnose(&seen);
        match json {
            true => print_json(&seen, &diagnosis)?,
            false => {
                contract::print(contract::visible(&page(&seen, &diagnosis)).as_bytes())
                    .map_err(Error::Answer)?;
            }
        }
        Ok(diagnosis.verdict.exit)
    }
}

fn print_json(seen: &Observations, diagnosis: &Diagnosis) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(&Report::new(seen, diagnosis))
        .map_err(|e| Error::Answer(e.into()))?;
    contract::print(format!("{text}\n")).map_err(Error::Answer)
}
