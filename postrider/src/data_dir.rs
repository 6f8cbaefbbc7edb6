//! The directory of an embedded pipeline: its two databases, its credentials, the addresses it listens at, and the lock
//! that keeps a second process out.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use shared::config::Secret;

/// Where it is when nobody says.
pub(crate) const DEFAULT: &str = "./postrider-data";

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(PathBuf);

/// Held while a process uses the directory; released by the system however the process ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held to be dropped")] File);

/// What a producer and a signer of tokens need. In `credentials.toml`, readable by the owner only.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// An API key of tenant `default`.
    pub(crate) api_key: Secret,
    /// The HS256 secret that client tokens are signed with.
    pub(crate) token_secret: Secret,
}

/// Where the running process is reached.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) receiver: Option<SocketAddr>,
    pub(crate) distributor: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
}

impl DataDir {
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Makes the directory where there is none, for the owner only, and locks it.
    pub(crate) fn lock(&self) -> anyhow::Result<Lock> {
        if !self.0.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.0)
                .with_context(|| format!("{} cannot be made", self.0.display()))?;
        }
        let path = self.0.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("{} cannot be opened", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => {
                bail!("{} is in use by another postrider process", self.0.display())
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be locked", path.display()))
            }
        }
    }

    /// Whether a process holds the lock. Neither makes the directory nor keeps the lock.
    pub(crate) fn is_in_use(&self) -> anyhow::Result<bool> {
        let path = self.0.join("lock");
        let file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be opened", path.display())),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be looked at", path.display()))
            }
        }
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.0.join("log.db")
    }

    pub(crate) fn store_file(&self) -> PathBuf {
        self.0.join("store.db")
    }

    pub(crate) fn credentials_file(&self) -> PathBuf {
        self.0.join("credentials.toml")
    }

    pub(crate) fn addresses_file(&self) -> PathBuf {
        self.0.join("addresses.json")
    }

    /// What an earlier start wrote.
    pub(crate) fn credentials(&self) -> anyhow::Result<Option<Credentials>> {
        let path = self.credentials_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let mode = fs::metadata(&path)?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("{} can be read by others: chmod 600 {0}", path.display());
        }
        toml::from_str(&text).map(Some).with_context(|| format!("{} cannot be read", path.display()))
    }

    /// Writes them, all or nothing, so that a crash leaves no half of a key.
    pub(crate) fn write_credentials(&self, credentials: &Credentials) -> anyhow::Result<()> {
        let whole = self.credentials_file();
        let part = whole.with_extension("new");
        let text = format!(
            "# Made by the first start of `postrider standalone`. Keep it secret.\n\
             api_key = \"{}\"\ntoken_secret = \"{}\"\n",
            credentials.api_key.expose(),
            credentials.token_secret.expose(),
        );
        let written = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&part, &whole)?;
            File::open(&self.0)?.sync_all()
        };
        written().with_context(|| format!("{} cannot be written", whole.display()))
    }

    /// Where the process of this directory listens, or listened last.
    pub(crate) fn addresses(&self) -> Option<Addresses> {
        serde_json::from_slice(&fs::read(self.addresses_file()).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, DataDir) {
        let parent = tempfile::tempdir().unwrap();
        let dir = DataDir::at(&parent.path().join("data"));
        (parent, dir)
    }

    #[test]
    fn two_processes_cannot_share_it() {
        let (_parent, dir) = fresh();
        assert!(!dir.is_in_use().unwrap(), "there is none yet");
        let held = dir.lock().unwrap();
        assert!(dir.is_in_use().unwrap());
        let refused = dir.lock().expect_err("locked twice").to_string();
        assert!(refused.contains("in use"), "{refused}");
        drop(held);
        assert!(!dir.is_in_use().unwrap());
        dir.lock().unwrap();
    }

    #[test]
    fn credentials_are_for_the_owner_only() {
        let (_parent, dir) = fresh();
        let _held = dir.lock().unwrap();
        assert!(dir.credentials().unwrap().is_none());
        let credentials =
            Credentials { api_key: Secret::new("prk_1".into()), token_secret: Secret::new("s".into()) };
        dir.write_credentials(&credentials).unwrap();
        assert_eq!(dir.credentials().unwrap().unwrap().api_key.expose(), "prk_1");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir.0), mode(&dir.credentials_file())), (0o700, 0o600));
        fs::set_permissions(dir.credentials_file(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(dir.credentials().is_err());
    }
}
