//! `postrider config`: what the settings are and whether they can be used, for every service at once.

use clap::{Args, Subcommand};
use postrider_distributor::auth::AuthSettings;
use shared::config::{
    AdminSettings, KafkaSettings, PostgresSettings, RedisSettings, Section, Sources, StoreSettings,
    TelemetrySettings,
};
use shared::process::SettingsFlags;

use super::failure::Failure;
use super::print;
use crate::relations;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Say everything that is wrong with them
    Check(Arguments),
    /// Print all of them, defaults written out and secrets masked
    Print(Arguments),
}

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: SettingsFlags,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    let (Command::Check(arguments) | Command::Print(arguments)) = &command;
    let mut sources = arguments.settings.load().map_err(Failure::settings)?;
    read_all(&mut sources);
    let shown = sources.shown();
    sources.finish().map_err(Failure::settings)?;
    Ok(match command {
        Command::Check(_) => print::line("the settings can be used"),
        Command::Print(_) => print::line(shown.trim_end()),
    }?)
}

/// Reads every section that there is.
pub(crate) fn read_all(sources: &mut Sources) {
    fn read<S: Section>(sources: &mut Sources) {
        let _checked: S = sources.section();
    }
    let (receiver, director) = (sources.section(), sources.section());
    let (distributor, log, kafka): (_, _, KafkaSettings) =
        (sources.section(), sources.section(), sources.section());
    relations::check(sources, &receiver, &director, &distributor, &log);
    let (limit, mistakes) = (kafka.drain_timeout_ms, sources.mistakes("director"));
    director.check_drain("kafka.drain_timeout_ms", limit, mistakes);
    read::<postrider_executor::Config>(sources);
    read::<AuthSettings>(sources);
    read::<RedisSettings>(sources);
    read::<PostgresSettings>(sources);
    read::<StoreSettings>(sources);
    read::<AdminSettings>(sources);
    read::<TelemetrySettings>(sources);
}

#[cfg(test)]
mod tests {
    use shared::config::SECTIONS;

    use super::*;

    #[test]
    fn every_section_is_read_and_sound_by_default() {
        let mut sources = Sources::load(None, &[]).unwrap();
        read_all(&mut sources);
        let shown: toml::Table = sources.shown().parse().unwrap();
        sources.finish().unwrap();
        let mut expected = SECTIONS;
        expected.sort_unstable();
        assert!(shown.keys().map(String::as_str).eq(expected), "{shown}");
    }
}
