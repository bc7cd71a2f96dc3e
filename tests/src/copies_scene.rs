//! Several backups in several destinations, ready to be damaged.
//!
//! Owns: where the files of each copy are, ways to damage them at rest, and what is left in
//! quarantine; all of it as files, without Lifeboat.
//!
//! Does not: say what should become of it.

use crate::checker::Picture;
use crate::soak::stores::Stores;
use crate::soak::world::{Kind, Shape, World};
use crate::{Error, LoadSpec};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Two directories and a bucket.
pub const KINDS: [Kind; 3] = [Kind::Directory, Kind::Directory, Kind::Bucket];

/// The world, and the names of its backups, the newest first.
#[derive(Debug)]
pub struct Copies {
    /// Where Lifeboat runs.
    pub world: World,
    /// The backups that all destinations had in the beginning.
    pub backups: Vec<String>,
    /// How it is configured.
    pub shape: Shape,
}

/// A way in which a copy goes bad at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// One bit of the artifact.
    Flip,
    /// The artifact without its end.
    Cut,
    /// The artifact with something behind it.
    Longer,
    /// An artifact of no bytes.
    Emptied,
    /// No artifact.
    NoArtifact,
    /// No manifest.
    NoManifest,
    /// A manifest that says nothing.
    GarbledManifest,
    /// The first half of the manifest.
    CutManifest,
    /// Neither.
    Nothing,
}

impl Damage {
    /// What a listing shows.
    pub const SEEN: [Damage; 8] = [
        Damage::Cut,
        Damage::Longer,
        Damage::Emptied,
        Damage::NoArtifact,
        Damage::NoManifest,
        Damage::GarbledManifest,
        Damage::CutManifest,
        Damage::Nothing,
    ];
}

impl Copies {
    /// So many backups in each of [`KINDS`], without pruning and without repair by the runs.
    ///
    /// # Errors
    /// When a server or a tool is missing.
    ///
    /// # Panics
    /// When a backup cannot be made.
    pub fn new(count: usize) -> Result<Self, Error> {
        Copies::with(&KINDS, count, Stores::default())
    }

    /// The same in destinations of these kinds, on these servers.
    ///
    /// # Errors
    /// As [`Copies::new`].
    ///
    /// # Panics
    /// As [`Copies::new`].
    pub fn with(kinds: &[Kind], count: usize, stores: Stores) -> Result<Self, Error> {
        let mut world = World::with(kinds, &LoadSpec::default(), &Arc::new(stores))?;
        world.site.set("LIFEBOAT__REPLICATE__REPAIR", "off");
        let shape = Shape { prune: None, require: 1, ..Shape::usual(kinds.len()) };
        world.configure(&shape);
        let mut copies = Copies { world, backups: Vec::new(), shape };
        for _ in 0..count {
            let report = copies.world.site.lifeboat(&["run", "--json"]).code(0).json();
            copies.backups.insert(0, report["backup"].as_str().unwrap_or_default().to_owned());
        }
        Ok(copies)
    }

    /// The folder of the tier, in the destination at this place.
    #[must_use]
    pub fn folder(&self, at: usize) -> PathBuf {
        self.world.destinations[at].place.folder.join("demo/frequent")
    }

    /// The files of a backup there: artifact, manifest, records.
    #[must_use]
    pub fn files(&self, at: usize, backup: &str) -> Vec<PathBuf> {
        let folder = self.folder(at);
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let of_it = |path: &PathBuf| name_of(path).starts_with(backup);
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(of_it).collect();
        files.sort();
        files
    }

    /// The artifact of a backup there.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn artifact(&self, at: usize, backup: &str) -> PathBuf {
        let mut files = self.files(at, backup).into_iter();
        let found = files.find(|path| name_of(path).starts_with(&format!("{backup}.db")));
        found.unwrap_or_else(|| panic!("no artifact of {backup} in {at}"))
    }

    /// The manifest of a backup there.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn manifest(&self, at: usize, backup: &str) -> PathBuf {
        let is_manifest = |path: &PathBuf| {
            let rest = name_of(path).replacen(&format!("{backup}-"), "", 1);
            rest.len() == "00000000000000000001.json".len() && rest.ends_with(".json")
        };
        let mut files = self.files(at, backup).into_iter();
        files.find(is_manifest).unwrap_or_else(|| panic!("no manifest of {backup} in {at}"))
    }

    /// The records of a backup there whose names have this word.
    #[must_use]
    pub fn records(&self, at: usize, backup: &str, word: &str) -> Vec<PathBuf> {
        let mut files = self.files(at, backup);
        files.retain(|path| name_of(path).contains(&format!("-{word}-")));
        files
    }

    /// Everything that lies in quarantine there.
    #[must_use]
    pub fn quarantine(&self, at: usize) -> Vec<PathBuf> {
        crate::store_scene::files(&self.world.destinations[at].place.folder.join("demo/quarantine"))
    }

    /// Damages a copy at rest. Gives the bytes that are not what they should be, as they lie there.
    ///
    /// # Panics
    /// When there is no such copy.
    #[must_use]
    pub fn damage(&self, at: usize, backup: &str, damage: Damage) -> Option<Vec<u8>> {
        let artifact = self.artifact(at, backup);
        let manifest = self.manifest(at, backup);
        let edit = |path: &Path, edit: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{e}"));
            edit(&mut bytes);
            overwrite(path, &bytes);
            Some(bytes)
        };
        let remove = |path: &Path| durable::remove_file(path).unwrap_or_else(|e| panic!("{e:?}"));
        match damage {
            Damage::Flip => edit(&artifact, &|bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 4;
            }),
            Damage::Cut => edit(&artifact, &|bytes| bytes.truncate(bytes.len() / 2)),
            Damage::Longer => edit(&artifact, &|bytes| bytes.extend([7; 9])),
            Damage::Emptied => edit(&artifact, &Vec::clear),
            Damage::GarbledManifest => edit(&manifest, &|bytes| *bytes = b"{}".to_vec()),
            Damage::CutManifest => edit(&manifest, &|bytes| bytes.truncate(bytes.len() / 2)),
            Damage::NoArtifact | Damage::NoManifest | Damage::Nothing => {
                if damage != Damage::NoManifest {
                    remove(&artifact);
                }
                if damage != Damage::NoArtifact {
                    remove(&manifest);
                }
                None
            }
        }
    }

    /// Empties a destination, as if it were new.
    ///
    /// # Panics
    /// When it cannot be emptied.
    pub fn empty(&self, at: usize) {
        for path in crate::store_scene::files(&self.world.destinations[at].place.folder) {
            durable::remove_file(&path).unwrap_or_else(|e| panic!("{e:?}"));
        }
    }

    /// What all hold; asserts that every backup could be restored from everywhere, with nothing
    /// beside it.
    ///
    /// # Panics
    /// With what is amiss.
    pub fn must_be_level(&mut self, what: &str) -> Picture {
        let picture = self.world.look();
        for (place, holds) in &picture {
            let sound = holds.restorable();
            for backup in &self.backups {
                assert!(sound.contains(backup.as_str()), "{what}: {place} lacks {backup}");
            }
            assert_eq!(holds.orphans.len(), 0, "{what}: {place}: {:?}", holds.orphans);
        }
        let wrong = self.world.misread(&picture);
        assert!(wrong.is_empty(), "{what}: {wrong:?}");
        picture
    }
}

/// The last part of a path.
#[must_use]
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Changes what lies on the disk, under everybody's feet.
#[expect(clippy::disallowed_methods, reason = "damage is done without care")]
fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
