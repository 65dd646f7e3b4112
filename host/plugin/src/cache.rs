//! Compiled components on disk, so that a second start compiles nothing.
//!
//! Compiled code is machine code: whoever can write a cache file runs code in the host.
//! So the trust lies in the file system, and is checked there: the folder must be a real
//! folder (no link) that belongs to this user and that nobody else may enter, and each
//! file must belong to this user and be writable by nobody else, checked on the open
//! file. The digest in a file finds damage and files put under another name; it
//! authenticates nothing, since whoever can write the file can write the digest.
//!
//! An entry is keyed by everything that its content depends on: the component's bytes,
//! its config and assets (they are in the snapshot), and the engine's version, settings
//! and processor.

use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use wasmtime::Engine;

/// Counted up when the content of entries changes its meaning.
const FORMAT: &[u8; 8] = b"consort2";
const SUFFIX: &str = ".cwasm";
const TEMPORARY_SUFFIX: &str = ".tmp";
const DIGEST_BYTES: usize = 32;

/// Why a cache folder is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheProblem {
    /// It cannot be made, looked at or written to.
    #[error("the cache folder {} cannot be used: {source}", folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is a file or a link.
    #[error("the cache folder {} is not a folder (links are not followed)", .0.display())]
    NotAFolder(PathBuf),
    /// It belongs to somebody else.
    #[error(
        "the cache folder {} belongs to another user, who could put code there; name a folder \
         of your own",
        .0.display()
    )]
    NotOurs(PathBuf),
    /// Others may enter it.
    #[error(
        "the cache folder {} has mode {mode:o}, so that others may enter it; run `chmod 700` on \
         it or name another",
        folder.display()
    )]
    NotPrivate {
        /// The folder.
        folder: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// A folder of compiled components that only this user can write to.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    bytes_max: u64,
    /// Of the engine: code for another one is never found.
    fingerprint: [u8; DIGEST_BYTES],
    /// Whom the folder belonged to when it was checked: this user.
    owner: Owner,
    temporaries: AtomicU64,
}

/// Names an entry by all that it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CacheKey([u8; DIGEST_BYTES]);

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Why the code is not that of a snapshot; `None` when it is.
    pub(crate) not_snapshot: Option<String>,
    /// Compiled code. Only bytes that passed [`Cache::load`] are trusted.
    pub(crate) code: Vec<u8>,
}

// === impl Cache ===

impl Cache {
    /// Makes the folder if need be, and checks that it is ours alone.
    pub(crate) fn open(
        folder: PathBuf,
        bytes_max: u64,
        engine: &Engine,
    ) -> Result<Self, CacheProblem> {
        let unusable = |source| CacheProblem::Unusable {
            folder: folder.clone(),
            source,
        };
        make_private_folder(&folder).map_err(unusable)?;
        let metadata = std::fs::symlink_metadata(&folder).map_err(unusable)?;
        if !metadata.is_dir() {
            return Err(CacheProblem::NotAFolder(folder));
        }
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let owner = check_folder(&folder, &metadata)?;
        Ok(Self {
            folder,
            bytes_max,
            fingerprint: hasher.0.finalize().into(),
            owner,
            temporaries: AtomicU64::new(0),
        })
    }

    /// Begins a key for this engine.
    pub(crate) fn key(&self, parts: &[&[u8]]) -> CacheKey {
        let mut hasher = Sha256::new();
        hasher.update(FORMAT);
        hasher.update(self.fingerprint);
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        CacheKey(hasher.finalize().into())
    }

    /// The entry of that key, if there is one, it is ours and it is whole. What is not
    /// is deleted.
    pub(crate) fn load(&self, key: &CacheKey) -> Option<Entry> {
        let path = self.path(key);
        match self.read(&path, key) {
            Ok(entry) => entry,
            Err(reason) => {
                tracing::warn!(
                    target: "consort::plugin",
                    file = %path.display(),
                    reason,
                    "a file of the cache is not used; the plugin is compiled again"
                );
                let _ = std::fs::remove_file(&path);
                None
            }
        }
    }

    /// Keeps an entry. A cache that cannot be written to costs time, nothing else.
    pub(crate) fn store(&self, key: &CacheKey, entry: &Entry) {
        let path = self.path(key);
        if let Err(error) = self.write(&path, key, entry) {
            tracing::warn!(
                target: "consort::plugin",
                file = %path.display(),
                %error,
                "a compiled plugin cannot be cached"
            );
        }
        self.evict(&path);
    }

    fn path(&self, key: &CacheKey) -> PathBuf {
        self.folder.join(format!("{}{SUFFIX}", hex(&key.0)))
    }

    fn read(&self, path: &Path, key: &CacheKey) -> Result<Option<Entry>, String> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        check_still_ours(&self.folder, self.owner)?;
        check_file(&file, self.owner)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        // So that the entries used longest ago are known; a cache without is no worse.
        let _ = file.set_modified(SystemTime::now());
        Entry::decode(&bytes, key).map(Some)
    }

    fn write(&self, path: &Path, key: &CacheKey, entry: &Entry) -> std::io::Result<()> {
        let count = self.temporaries.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!(
            "{}-{}-{count}{TEMPORARY_SUFFIX}",
            hex(&key.0),
            std::process::id()
        ));
        let written = private_file(&temporary)
            .and_then(|mut file| file.write_all(&entry.encode(key)))
            .and_then(|()| std::fs::rename(&temporary, path));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }

    /// Deletes what was used longest ago until the folder is small enough; never `kept`.
    fn evict(&self, kept: &Path) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.ends_with(SUFFIX) || name.ends_with(TEMPORARY_SUFFIX)
            })
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total <= self.bytes_max {
                break;
            }
            if path != kept && std::fs::remove_file(&path).is_ok() {
                total -= bytes;
            }
        }
    }
}

// === impl Entry ===

impl Entry {
    fn encode(&self, key: &CacheKey) -> Vec<u8> {
        let reason = self.not_snapshot.as_deref().unwrap_or_default();
        let mut body = Vec::with_capacity(self.code.len() + reason.len() + 16);
        body.push(u8::from(self.not_snapshot.is_none()));
        body.extend_from_slice(&(reason.len() as u64).to_le_bytes());
        body.extend_from_slice(reason.as_bytes());
        body.extend_from_slice(&self.code);
        let mut bytes = Vec::with_capacity(body.len() + FORMAT.len() + DIGEST_BYTES);
        bytes.extend_from_slice(FORMAT);
        bytes.extend_from_slice(&body_digest(key, &body));
        bytes.append(&mut body);
        bytes
    }

    fn decode(bytes: &[u8], key: &CacheKey) -> Result<Self, String> {
        let damaged = || "it is damaged, or not an entry of this name".to_owned();
        let rest = bytes
            .strip_prefix(FORMAT)
            .ok_or("it is of another format")?;
        let (digest, body) = rest
            .split_first_chunk::<DIGEST_BYTES>()
            .ok_or_else(damaged)?;
        if *digest != body_digest(key, body) {
            return Err(damaged());
        }
        let (taken, rest) = body.split_first().ok_or_else(damaged)?;
        let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
        let (reason, code) = rest.split_at_checked(length).ok_or_else(damaged)?;
        let reason = String::from_utf8(reason.to_vec()).map_err(|_| damaged())?;
        Ok(Self {
            not_snapshot: (*taken == 0).then_some(reason),
            code: code.to_vec(),
        })
    }
}

/// Binds the content to its name, so that entries cannot be exchanged by renaming.
fn body_digest(key: &CacheKey, body: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut hasher = Sha256::new();
    hasher.update(key.0);
    hasher.update(body);
    hasher.finalize().into()
}

/// Digits of bytes, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Feeds what is hashed to SHA-256.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // The whole digest is taken instead.
        0
    }
}

#[cfg(unix)]
mod permissions {
    use super::{CacheProblem, File, OpenOptions, Path};
    use std::fs::{DirBuilder, Metadata};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};

    /// Bits of a mode that let others do anything.
    const OTHERS: u32 = 0o077;
    const OTHERS_WRITE: u32 = 0o022;

    pub(super) fn make_private_folder(folder: &Path) -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    pub(super) fn private_file(path: &Path) -> std::io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
    }

    /// The owner of a folder that is ours.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct Owner(u32);

    pub(super) fn check_file(file: &File, owner: Owner) -> Result<(), String> {
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("it is no file".to_owned());
        }
        if metadata.uid() != owner.0 {
            return Err("it belongs to another user".to_owned());
        }
        if metadata.mode() & OTHERS_WRITE != 0 {
            return Err(format!(
                "others may write it (mode {:o})",
                metadata.mode() & 0o7777
            ));
        }
        Ok(())
    }

    /// Whether the folder is ours and private; tells who we are.
    pub(super) fn check_folder(folder: &Path, metadata: &Metadata) -> Result<Owner, CacheProblem> {
        let mode = metadata.mode() & 0o7777;
        if mode & OTHERS != 0 {
            return Err(CacheProblem::NotPrivate {
                folder: folder.to_owned(),
                mode,
            });
        }
        // Who we are is told by a file that we make.
        let probe = folder.join(format!("probe-{}.tmp", std::process::id()));
        let ours = private_file(&probe).and_then(|file| file.metadata());
        let _ = std::fs::remove_file(&probe);
        match ours {
            Ok(ours) if ours.uid() == metadata.uid() => Ok(Owner(ours.uid())),
            Ok(_) => Err(CacheProblem::NotOurs(folder.to_owned())),
            Err(source) => Err(CacheProblem::Unusable {
                folder: folder.to_owned(),
                source,
            }),
        }
    }

    /// Checks the folder again: it may have been exchanged since the start, for one that
    /// another user has made and that only root and that user can enter.
    pub(super) fn check_still_ours(folder: &Path, owner: Owner) -> Result<(), String> {
        let metadata = std::fs::symlink_metadata(folder).map_err(|error| error.to_string())?;
        if metadata.uid() != owner.0 {
            return Err("its folder belongs to another user now".to_owned());
        }
        if !metadata.is_dir() || metadata.mode() & OTHERS != 0 {
            return Err("its folder is no longer private".to_owned());
        }
        Ok(())
    }
}

/// Elsewhere a folder under the user's own is private by itself.
#[cfg(not(unix))]
mod permissions {
    use super::{CacheProblem, File, OpenOptions, Path};
    use std::fs::Metadata;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct Owner;

    pub(super) fn make_private_folder(folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)
    }

    pub(super) fn private_file(path: &Path) -> std::io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    pub(super) fn check_file(_: &File, _: Owner) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn check_folder(_: &Path, _: &Metadata) -> Result<Owner, CacheProblem> {
        Ok(Owner)
    }

    pub(super) fn check_still_ours(_: &Path, _: Owner) -> Result<(), String> {
        Ok(())
    }
}

use permissions::{
    Owner, check_file, check_folder, check_still_ours, make_private_folder, private_file,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(folder: &Path, bytes_max: u64) -> Cache {
        let engine = Engine::default();
        Cache::open(folder.to_owned(), bytes_max, &engine).unwrap()
    }

    fn entry(byte: u8) -> Entry {
        Entry {
            not_snapshot: (byte == 1).then(|| "for a reason".to_owned()),
            code: vec![byte; 100],
        }
    }

    #[test]
    fn entries_read_back_and_damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder.path().join("cache"), u64::MAX);
        let (a, b) = (cache.key(&[b"a", b"b"]), cache.key(&[b"ab", b""]));
        assert_ne!(a, b);
        assert_eq!(cache.load(&a), None);
        cache.store(&a, &entry(0));
        cache.store(&b, &entry(1));
        assert_eq!(
            (cache.load(&a), cache.load(&b)),
            (Some(entry(0)), Some(entry(1)))
        );

        for damage in [0, 9, 60] {
            let path = cache.path(&a);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[damage] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(cache.load(&a), None, "byte {damage}");
            assert!(!path.exists());
            cache.store(&a, &entry(0));
        }
        std::fs::rename(cache.path(&b), cache.path(&a)).unwrap();
        assert_eq!(cache.load(&a), None, "an entry under another name");
    }

    #[test]
    fn what_was_used_longest_ago_is_deleted_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder.path().join("cache"), 400);
        let keys: Vec<_> = (0..3u8).map(|n| cache.key(&[&[n]])).collect();
        cache.store(&keys[0], &entry(0));
        cache.store(&keys[1], &entry(0));
        let old = SystemTime::now() - std::time::Duration::from_secs(100);
        for key in &keys[..2] {
            File::open(cache.path(key))
                .unwrap()
                .set_modified(old)
                .unwrap();
        }
        assert!(cache.load(&keys[0]).is_some());
        cache.store(&keys[2], &entry(0));
        assert!(cache.load(&keys[1]).is_none());
        assert!(cache.load(&keys[0]).is_some() && cache.load(&keys[2]).is_some());
    }

    #[cfg(unix)]
    #[test]
    fn folders_and_files_open_to_others_are_refused() {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt;
        let engine = Engine::default();
        let folder = tempfile::tempdir().unwrap();
        let open = |path: &Path| Cache::open(path.to_owned(), 1000, &engine);

        let shared = folder.path().join("shared");
        std::fs::create_dir(&shared).unwrap();
        std::fs::set_permissions(&shared, Permissions::from_mode(0o755)).unwrap();
        let error = open(&shared).unwrap_err();
        assert!(matches!(
            error,
            CacheProblem::NotPrivate { mode: 0o755, .. }
        ));
        assert!(error.to_string().contains("chmod 700"), "{error}");

        let private = folder.path().join("private");
        let cache = open(&private).unwrap();
        let mode = std::fs::metadata(&private).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&private, &link).unwrap();
        assert!(matches!(open(&link), Err(CacheProblem::NotAFolder(_))));

        let key = cache.key(&[b"x"]);
        cache.store(&key, &entry(0));
        std::fs::set_permissions(cache.path(&key), Permissions::from_mode(0o666)).unwrap();
        assert_eq!(cache.load(&key), None, "a file that others may write");
        cache.store(&key, &entry(0));
        std::fs::set_permissions(&private, Permissions::from_mode(0o777)).unwrap();
        assert_eq!(cache.load(&key), None, "a folder opened since the start");
        std::fs::set_permissions(&private, Permissions::from_mode(0o700)).unwrap();
        cache.store(&key, &entry(0));
        assert_eq!(cache.load(&key), Some(entry(0)));
        // Only root can give files away, and only root could be fooled so.
        let give = |path: &Path| std::os::unix::fs::chown(path, Some(12_345), None);
        if give(&cache.path(&key))
            .and_then(|()| give(&private))
            .is_ok()
        {
            assert_eq!(cache.load(&key), None, "a folder exchanged since the start");
        }
    }
}
