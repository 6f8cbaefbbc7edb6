//! The ledger: what producers asked and were answered, what clients were sent and said, one line each with its monotonic
//! time, append-only on disk. [`book`] folds the lines into an [`Account`](super::account::Account); a person greps them.

pub mod book;
pub mod entry;
pub mod seen;
pub mod stream;

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use entry::{Entry, Line};

/// The writing end, shared by every producer and client of one load.
#[derive(Clone)]
pub struct Ledger {
    file: Arc<Mutex<BufWriter<File>>>,
    path: Arc<Path>,
    start: Instant,
}

impl Ledger {
    /// A new ledger in `folder`.
    pub fn create(folder: &Path) -> Self {
        let path: PathBuf = folder.join("ledger.txt");
        let file = File::options().create_new(true).append(true).open(&path).unwrap();
        Self {
            file: Arc::new(Mutex::new(BufWriter::with_capacity(1 << 16, file))),
            path: path.into(),
            start: Instant::now(),
        }
    }

    /// How long this ledger has been kept.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Where `instant` stands in this ledger's time.
    pub fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.start)
    }

    /// Appends one line.
    pub fn write(&self, entry: Entry) {
        let mut file = self.file.lock().unwrap();
        // Taken under the lock, so that times only grow from line to line.
        let line = Line { at: self.start.elapsed(), entry };
        writeln!(file, "{line}").unwrap();
    }

    /// A reading end, from the first line.
    pub fn read(&self) -> Reader {
        Reader { ledger: self.clone(), offset: 0 }
    }

    /// Where it is kept.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A reading end that remembers how far it has come.
pub struct Reader {
    ledger: Ledger,
    offset: u64,
}

impl Reader {
    /// Gives every line that was written since the last call to `take`.
    pub fn each(&mut self, mut take: impl FnMut(Line)) {
        self.ledger.file.lock().unwrap().flush().unwrap();
        let mut file = File::open(self.ledger.path()).unwrap();
        let end = file.seek(SeekFrom::End(0)).unwrap();
        file.seek(SeekFrom::Start(self.offset)).unwrap();
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut text = String::new();
        while self.offset < end {
            text.clear();
            let read = file.read_line(&mut text).unwrap();
            if !text.ends_with('\n') {
                // The rest of it is being written.
                break;
            }
            self.offset += read as u64;
            take(text.trim_end().parse().unwrap_or_else(|why| panic!("{why} in the ledger: {text}")));
        }
    }
}
