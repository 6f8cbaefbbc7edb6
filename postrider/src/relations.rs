//! Relations between settings of different services, checked where all of them are read: `postrider config check`,
//! `doctor` and `standalone`. Each service checks its own section, and the log's against it, by itself.

use postrider_director::Config as Director;
use postrider_distributor::Config as Distributor;
use postrider_receiver::Config as Receiver;
use shared::config::{LogSettings, Section as _, Sources};

/// Reports what does not fit together, whatever the engines are.
pub(crate) fn check(
    sources: &mut Sources,
    receiver: &Receiver,
    director: &Director,
    distributor: &Distributor,
    log: &LogSettings,
) {
    receiver.check_record(log, sources.mistakes(Receiver::NAME));
    if distributor.link.batch_bytes <= log.max_record_bytes {
        sources.mistakes(Distributor::NAME).report("link.batch_bytes", "must be above log.max_record_bytes");
    }
    let mistakes = sources.mistakes(Director::NAME);
    if director.link.batch_bytes >= distributor.link.batch_bytes {
        mistakes.report("link.batch_bytes", "must be below distributor.link.batch_bytes");
    }
    let (shown, asked) = (director.link_secret.expose(), distributor.link.secret.expose());
    // A machine may have the settings of one of the two only, and no business with the other's secret.
    if shown != asked && !shown.is_empty() && !asked.is_empty() {
        mistakes.report("link_secret", "must be distributor.link.secret");
    }
}

#[cfg(test)]
mod tests {
    use shared::config::Error;

    use super::*;

    fn mistakes(overrides: &[&str]) -> Vec<String> {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        let mut sources = Sources::load(None, &overrides).unwrap();
        crate::cli::config::read_all(&mut sources);
        match sources.finish() {
            Ok(()) => Vec::new(),
            Err(Error::Mistakes(found)) => found,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_director_drains_within_what_the_log_allows() {
        let found = mistakes(&["director.drain_ms=10000"]);
        assert_eq!(found, ["director.drain_ms: must be below kafka.drain_timeout_ms"]);
    }

    #[test]
    fn a_node_takes_the_batches_of_a_director() {
        let found = mistakes(&["director.link.batch_bytes=1048576", "distributor.link.batch_bytes=1048577"]);
        assert_eq!(found, Vec::<String>::new());
        let found = mistakes(&["director.link.batch_bytes=2097152", "distributor.link.batch_bytes=2097152"]);
        assert_eq!(found, ["director.link.batch_bytes: must be below distributor.link.batch_bytes"]);
    }

    #[test]
    fn a_node_takes_the_largest_record() {
        let found = mistakes(&["log.max_record_bytes=4194304", "distributor.link.batch_bytes=4194304"]);
        assert_eq!(found, ["distributor.link.batch_bytes: must be above log.max_record_bytes"]);
    }

    #[test]
    fn the_log_takes_the_largest_content() {
        let fits = 256 * 1024 + 4 * 1024 + 12 * 1024;
        assert_eq!(mistakes(&[&format!("log.max_record_bytes={fits}")]), Vec::<String>::new());
        let found = mistakes(&[&format!("log.max_record_bytes={}", fits - 1)]);
        assert!(matches!(&found[..], [one] if one.starts_with("receiver.content_bytes: ")), "{found:?}");
    }

    #[test]
    fn two_link_secrets_are_one_or_one_of_them_is_elsewhere() {
        assert_eq!(mistakes(&["distributor.link.secret=own"]), Vec::<String>::new());
        assert_eq!(
            mistakes(&["distributor.link.secret=own", "director.link_secret=own"]),
            Vec::<String>::new()
        );
        let found = mistakes(&["distributor.link.secret=own", "director.link_secret=other"]);
        assert_eq!(found, ["director.link_secret: must be distributor.link.secret"]);
    }
}
