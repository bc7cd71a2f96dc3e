//! Mount points on which nothing is mounted: a directory there takes backups well, on the wrong
//! disk, and hides them as soon as the right one is mounted over it.
//!
//! Reads `/etc/fstab` and `/proc/self/mounts`; where those are missing nothing is found. All of it
//! may block: a path is resolved, and a mounted one may be away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The two tables: what should be mounted, and what is.
#[derive(Debug, Clone)]
pub(crate) struct Mounts {
    fstab: Arc<Path>,
    mounted: Arc<Path>,
}

impl Mounts {
    /// Those of this machine.
    pub(crate) fn system() -> Self {
        Mounts::of(Path::new("/etc/fstab"), Path::new("/proc/self/mounts"))
    }

    pub(crate) fn of(fstab: &Path, mounted: &Path) -> Self {
        Mounts { fstab: fstab.into(), mounted: mounted.into() }
    }

    /// The mount point on the way to `path` on which nothing is mounted now. A path may lead there
    /// by its name, or through a symbolic link.
    pub(crate) fn missing(&self, path: &Path) -> Option<PathBuf> {
        let fstab = std::fs::read_to_string(&self.fstab).ok()?;
        let mounted = std::fs::read_to_string(&self.mounted).ok()?;
        missing(&fstab, &mounted, path).or_else(|| missing(&fstab, &mounted, &resolved(path)?))
    }
}

/// Where the part of the path leads that is there already.
fn resolved(path: &Path) -> Option<PathBuf> {
    let there = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    let (part, place) = there?;
    Some(place.join(path.strip_prefix(part).ok()?))
}

fn missing(fstab: &str, mounts: &str, path: &Path) -> Option<PathBuf> {
    let wanted = points(fstab).filter(|point| path.starts_with(point));
    let nearest = wanted.max_by_key(|point| point.components().count())?;
    (!points(mounts).any(|point| point == nearest)).then_some(nearest)
}

/// The second field of each line; spaces in it are written as `\040`.
fn points(table: &str) -> impl Iterator<Item = PathBuf> {
    let lines = table.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let fields = lines.filter_map(|line| line.split_whitespace().nth(1));
    fields.filter(|field| field.starts_with('/')).map(|field| field.replace("\\040", " ").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_without_its_volume_is_found() {
        let fstab = "# a comment\n/dev/sda1 / ext4 defaults 0 1\n\
                     nas:/b /mnt/back\\040ups nfs _netdev 0 0\n/dev/sdb1 none swap sw 0 0\n";
        let without = "/dev/sda1 / ext4 rw 0 0\n";
        let with = "/dev/sda1 / ext4 rw 0 0\nnas:/b /mnt/back\\040ups nfs rw 0 0\n";
        let inside = Path::new("/mnt/back ups/etcd");
        assert_eq!(missing(fstab, without, inside), Some(PathBuf::from("/mnt/back ups")));
        assert_eq!(missing(fstab, with, inside), None);
        assert_eq!(missing(fstab, without, Path::new("/srv/etcd")), None);
        assert_eq!(missing("", without, inside), None);
    }

    #[test]
    fn a_link_leads_to_a_mount_point_as_its_name_does() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (point, link) = (root.join("nas"), root.join("link"));
        durable::create_private_dir(&point).unwrap();
        std::os::unix::fs::symlink(&point, &link).unwrap();
        let (fstab, mounted) = (root.join("fstab"), root.join("mounts"));
        let line = format!("nas:/b {} nfs _netdev 0 0\n", point.display());
        durable::write_new(&fstab, line.as_bytes()).unwrap();
        durable::write_new(&mounted, b"").unwrap();
        let mounts = Mounts::of(&fstab, &mounted);
        assert_eq!(mounts.missing(&link.join("not/there")), Some(point.clone()));
        durable::replace(&mounted, line.as_bytes()).unwrap();
        assert_eq!(mounts.missing(&link.join("not/there")), None);
    }
}
