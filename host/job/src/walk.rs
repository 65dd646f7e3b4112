//! Folders, walked lazily and always in the same order.
//!
//! A folder's entries are sorted by name; only the folders on the way down are in memory.
//! A link to a folder is followed when it is a root, never below one: no cycle, no file
//! twice. The outputs of the job itself are no examples.

use crate::os::FileId;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// What comes next on a walk.
#[derive(Debug)]
pub(crate) enum Step {
    /// Something that is to be read as a file, whether that succeeds or not.
    File(PathBuf),
    /// A folder that cannot be listed (wholly).
    Unlistable(PathBuf, io::Error),
    /// A folder was listed: its files follow.
    Entered,
}

/// A walk through files and folders.
#[derive(Debug)]
pub(crate) struct Walk {
    roots: std::vec::IntoIter<PathBuf>,
    down: Vec<Folder>,
    /// Steps that are due before the walk goes on.
    unlistable: Option<(PathBuf, io::Error)>,
    outputs: Vec<FileId>,
    /// Folders that are left out, in their canonical form.
    without: Vec<PathBuf>,
    links_skipped: u64,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// What is left of it, the next last.
    entries: Vec<(OsString, Kind)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Folder,
    Link,
    Other,
}

// === impl Walk ===

impl Walk {
    /// A walk through `roots` in the order given, leaving out the job's own `outputs`.
    pub(crate) fn new(roots: Vec<PathBuf>, outputs: Vec<FileId>) -> Self {
        Self {
            roots: roots.into_iter(),
            down: Vec::new(),
            unlistable: None,
            outputs,
            without: Vec::new(),
            links_skipped: 0,
        }
    }

    /// Leaves out the job's own folders, as far as they are there.
    pub(crate) fn without(mut self, folders: Vec<PathBuf>) -> Self {
        let folders = folders.into_iter();
        self.without = folders
            .filter_map(|path| path.canonicalize().ok())
            .collect();
        self
    }

    /// Links to folders that were not followed so far.
    pub(crate) fn links_skipped(&self) -> u64 {
        self.links_skipped
    }

    fn enter(&mut self, path: PathBuf) -> Step {
        let mut entries = Vec::new();
        match std::fs::read_dir(&path) {
            Err(error) => return Step::Unlistable(path, error),
            Ok(listing) => {
                for entry in listing {
                    let listed = entry.and_then(|entry| Ok((entry.file_type()?, entry)));
                    match listed {
                        Ok((kind, entry)) => {
                            let kind = if kind.is_dir() {
                                Kind::Folder
                            } else if kind.is_symlink() {
                                Kind::Link
                            } else {
                                Kind::Other
                            };
                            entries.push((entry.file_name(), kind));
                        }
                        Err(error) => {
                            self.unlistable = Some((path.clone(), error));
                            break;
                        }
                    }
                }
            }
        }
        entries.sort_unstable_by(|a, b| b.cmp(a));
        self.down.push(Folder { path, entries });
        Step::Entered
    }

    fn is_left_out(&self, path: &Path) -> bool {
        let canonical = || {
            path.canonicalize()
                .is_ok_and(|path| self.without.contains(&path))
        };
        !self.without.is_empty() && canonical()
    }

    /// Goes to an entry of a folder; nothing where it is no example.
    fn visit(&mut self, path: PathBuf, kind: Kind) -> Option<Step> {
        match kind {
            Kind::Folder if self.is_left_out(&path) => return None,
            Kind::Folder => return Some(self.enter(path)),
            Kind::Link if std::fs::metadata(&path).is_ok_and(|target| target.is_dir()) => {
                self.links_skipped += 1;
                return None;
            }
            Kind::Link | Kind::Other => {}
        }
        let is_output = !self.outputs.is_empty()
            && FileId::of_path(&path).is_some_and(|id| self.outputs.contains(&id));
        (!is_output).then_some(Step::File(path))
    }
}

impl Iterator for Walk {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if let Some((path, error)) = self.unlistable.take() {
            return Some(Step::Unlistable(path, error));
        }
        loop {
            let Some(folder) = self.down.last_mut() else {
                let root = self.roots.next()?;
                let is_folder = std::fs::metadata(&root).is_ok_and(|root| root.is_dir());
                return Some(match is_folder {
                    true => self.enter(root),
                    false => Step::File(root),
                });
            };
            let Some((name, kind)) = folder.entries.pop() else {
                self.down.pop();
                continue;
            };
            let path = folder.path.join(name);
            if let Some(step) = self.visit(path, kind) {
                return Some(step);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn steps(walk: &mut Walk, base: &Path) -> Vec<String> {
        let name = |path: PathBuf| path.strip_prefix(base).unwrap().display().to_string();
        walk.filter_map(|step| match step {
            Step::File(path) => Some(name(path)),
            Step::Unlistable(path, _) => Some(format!("unlistable {}", name(path))),
            Step::Entered => None,
        })
        .collect()
    }

    #[test]
    fn the_order_is_that_of_names_whatever_the_order_of_making() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b/z", "b/a", "c", "a/deep/er/x", "a/deep.txt", "B"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir(dir.path().join("empty")).unwrap();
        let roots = vec![dir.path().join("c"), dir.path().to_owned()];
        let found = steps(&mut Walk::new(roots, vec![]), dir.path());
        let expected = ["c", "B", "a/deep/er/x", "a/deep.txt", "b/a", "b/z", "c"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_root_that_is_gone_is_left_to_the_reader() {
        let dir = tempfile::tempdir().unwrap();
        let roots = vec![dir.path().join("gone")];
        assert_eq!(steps(&mut Walk::new(roots, vec![]), dir.path()), ["gone"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_to_folders_are_counted_and_not_followed() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        fs::create_dir(base.join("real")).unwrap();
        fs::write(base.join("real/file"), "").unwrap();
        symlink(base, base.join("real/cycle")).unwrap();
        symlink(base.join("real/file"), base.join("to-file")).unwrap();
        symlink(base.join("nowhere"), base.join("dangling")).unwrap();
        let mut walk = Walk::new(vec![base.to_owned()], vec![]);
        let expected = ["dangling", "real/file", "to-file"];
        assert_eq!(steps(&mut walk, base), expected);
        assert_eq!(walk.links_skipped(), 1);
        let mut walk = Walk::new(vec![base.join("real/cycle/real")], vec![]);
        assert_eq!(steps(&mut walk, base), ["real/cycle/real/file"]);
    }

    #[cfg(unix)]
    #[test]
    fn own_outputs_are_no_examples_by_any_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "out"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::hard_link(dir.path().join("out"), dir.path().join("other-name")).unwrap();
        let id = FileId::of_path(&dir.path().join("out")).unwrap();
        let mut walk = Walk::new(vec![dir.path().to_owned()], vec![id]);
        assert_eq!(steps(&mut walk, dir.path()), ["a"]);
    }

    #[test]
    fn a_folder_replaced_by_a_file_is_unlistable() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let mut walk = Walk::new(vec![dir.path().to_owned()], vec![]);
        assert!(matches!(walk.next(), Some(Step::Entered)));
        fs::remove_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a"), "").unwrap();
        fs::write(dir.path().join("b/file"), "").unwrap();
        assert_eq!(steps(&mut walk, dir.path()), ["unlistable a", "b/file"]);
    }
}
