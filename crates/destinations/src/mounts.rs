//! Mount points on which nothing is mounted: a directory there takes backups well, on the wrong
//! disk, and hides them as soon as the right one is mounted over it.
//!
//! Reads `/etc/fstab` and `/proc/self/mounts`; where those are missing nothing is found.

use std::path::{Path, PathBuf};

/// The mount point of `/etc/fstab` on the way to `path` on which nothing is mounted now.
pub(crate) fn missing_mount(path: &Path) -> Option<PathBuf> {
    let fstab = std::fs::read_to_string("/etc/fstab").ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    missing(&fstab, &mounts, path)
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
}
