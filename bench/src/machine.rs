//! What a scene runs on: only what matters for the numbers, nothing that names the machine.

use crate::Error;
use crate::database::Content;
use crate::results::Setting;
use contract::Clock;
use lifeboat_tests::EtcdVersion;
use std::fs;
use std::process::Command;

/// Where and with what a scene begins now.
pub(crate) fn setting(etcd: &EtcdVersion, content: Content) -> Result<Setting, Error> {
    Ok(Setting {
        at: Clock::system().now(),
        lifeboat: env!("CARGO_PKG_VERSION").to_owned(),
        etcd: etcd_version(etcd)?,
        cpu: cpu(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: memory_bytes(),
        kernel: kernel(),
        content,
    })
}

/// From `etcd Version: 3.6.16`.
fn etcd_version(etcd: &EtcdVersion) -> Result<String, Error> {
    let output = lifeboat_tests::run(Command::new(&etcd.etcd).env_clear().arg("--version"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.lines().next().and_then(|line| line.rsplit(' ').next());
    Ok(version.unwrap_or(etcd.label).to_owned())
}

/// Such as 6.18: what is behind names a build, and with it a machine.
fn kernel() -> String {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    release.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    model.unwrap_or("unknown").to_owned()
}

fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram * u64::from(info.mem_unit)
}
