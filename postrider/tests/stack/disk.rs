//! A small disk in memory, under one engine's directory: filled by a file of ballast and freed again. Needs root; without
//! it the test fails.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs; dropped, it is unmounted. Whatever uses it must have ended.
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// Mounts one of so many MiB at `root`.
    pub fn mount(root: &Path, size_mib: usize) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "a disk that can be filled must be mounted, which only root can: run this test as root"
        );
        std::fs::create_dir(root).unwrap();
        let options = format!("size={size_mib}m,mode=755");
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "postrider"]).arg(root).output();
        let output = output.expect("mount is installed");
        assert!(output.status.success(), "mount: {}", String::from_utf8_lossy(&output.stderr));
        Self { root: root.to_owned() }
    }

    fn ballast(&self) -> PathBuf {
        self.root.join("ballast")
    }

    /// Leaves not a byte free.
    pub fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).unwrap();
        // Large pieces, then what is left of the last.
        for piece in [vec![0_u8; 1 << 20], vec![0; 4096], vec![0; 1]] {
            let full = loop {
                if let Err(error) = ballast.write_all(&piece) {
                    break error;
                }
            };
            assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
        }
    }

    /// Frees what [`Disk::fill`] took.
    pub fn free(&self) {
        // It may not have been filled.
        let _absent = std::fs::remove_file(self.ballast());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is just ending may still hold it.
        let _unmounted = Command::new("umount").arg("--lazy").arg(&self.root).output();
    }
}
