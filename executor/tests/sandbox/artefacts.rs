//! Compiled modules on disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use postrider_executor::SandboxSettings;
use postrider_executor::sandbox::Answer;
use tempfile::TempDir;

use crate::guests::{ANSWER, command, component, quiet};
use crate::world::{World, settings};

fn keeping(directory: &Path) -> SandboxSettings {
    let mut settings = settings();
    settings.modules.directory = Some(directory.to_owned());
    settings
}

fn kept(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// How often a new process fetches the source of `module` to run it.
async fn fetches(directory: &Path, module: &[u8]) -> usize {
    let world = World::new(keeping(directory));
    assert_eq!(world.run(module).await.answer, Ok(Answer::Done(vec![])));
    world.shelf.fetched.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_restart_does_not_compile_again() {
    let place = TempDir::new().unwrap();
    let directory = place.path().join("compiled");
    for module in [quiet(), command("", "")] {
        assert_eq!(fetches(&directory, &module).await, 1);
        assert_eq!(fetches(&directory, &module).await, 0);
    }
    assert_eq!(kept(&directory).len(), 2);
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_file_that_is_not_what_was_written_is_made_again() {
    let place = TempDir::new().unwrap();
    let module = quiet();
    assert_eq!(fetches(place.path(), &module).await, 1);
    let file = kept(place.path()).remove(0);
    let sound = fs::read(&file).unwrap();
    let mut flipped = sound.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for unsound in [flipped, sound[..sound.len() / 2].to_vec(), Vec::new()] {
        fs::write(&file, unsound).unwrap();
        assert_eq!(fetches(place.path(), &module).await, 1);
        assert_eq!(fs::read(&file).unwrap().len(), sound.len());
    }
    assert_eq!(fetches(place.path(), &module).await, 0);
}

#[tokio::test]
async fn what_others_can_write_is_not_read() {
    let place = TempDir::new().unwrap();
    let module = quiet();
    assert_eq!(fetches(place.path(), &module).await, 1);
    let file = kept(place.path()).remove(0);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(fetches(place.path(), &module).await, 1);
}

#[tokio::test]
async fn a_directory_that_others_can_write_is_refused_and_so_is_one_below_it() {
    let place = TempDir::new().unwrap();
    let open = place.path().join("open");
    fs::create_dir(&open).unwrap();
    for directory in [open.clone(), open.join("below")] {
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(World::refused(keeping(&directory)).contains("can be written by others"));
    }
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fetches(&open.join("below"), &quiet()).await, 1);
    // Exposed while the process runs.
    let world = World::new(keeping(&open.join("below")));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(world.run(&quiet()).await.answer, Ok(Answer::Done(vec![])));
    assert_eq!(world.shelf.fetched.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_oldest_go_when_the_directory_is_full() {
    let place = TempDir::new().unwrap();
    let world = World::new(keeping(place.path()));
    world.run(&component(&format!("(nop) {ANSWER}"))).await;
    let first = kept(place.path()).remove(0);
    let size = fs::metadata(&first).unwrap().len();
    let mut limits = keeping(place.path());
    limits.modules.directory_bytes = size * 5 / 2;
    let world = World::new(limits);
    for nops in 2..6 {
        world.run(&component(&format!("{} {ANSWER}", "(nop)".repeat(nops)))).await;
    }
    let left = kept(place.path());
    assert!(!left.contains(&first) && left.len() == 2, "{left:?}");
}
