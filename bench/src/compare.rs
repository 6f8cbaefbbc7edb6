//! `bench compare`: the figures of two results beside each other.

use std::path::PathBuf;

use clap::Args;

use crate::result::{Better, Figure, Outcome};

/// Which results.
#[derive(Args, Clone, Debug)]
pub struct Compare {
    /// The result before
    before: PathBuf,
    /// The result after
    after: PathBuf,
    /// Fail when a figure is worse by more than so many per cent
    #[arg(long, value_name = "PERCENT")]
    fail_above: Option<f64>,
    /// Only figures whose name begins so; may be repeated
    #[arg(long, value_name = "PREFIX")]
    only: Vec<String>,
}

/// What is marked, as a share.
const MARKED: f64 = 0.1;

/// A figure in both.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    name: String,
    before: Figure,
    after: Figure,
    /// After ÷ before; none where there was nothing before.
    ratio: Option<f64>,
    /// By which share it became worse; below zero: better.
    worse: f64,
}

impl Compare {
    /// Compares.
    ///
    /// # Errors
    /// When a result cannot be read, or a figure is worse than may be.
    pub fn run(&self) -> anyhow::Result<Vec<String>> {
        let (before, after) = (Outcome::read(&self.before)?, Outcome::read(&self.after)?);
        let mut lines = compare(&before, &after);
        if !self.only.is_empty() {
            lines.retain(|line| self.only.iter().any(|prefix| line.name.starts_with(prefix)));
        }
        let mut text = vec![format!("{:<36} {:>14} {:>14} {:>8}", "", "before", "after", "ratio")];
        text.extend(lines.iter().map(Line::to_string));
        let limit = self.fail_above.map(|percent| percent / 100.0);
        let failed: Vec<&str> = lines
            .iter()
            .filter(|line| limit.is_some_and(|limit| line.worse > limit))
            .map(|line| line.name.as_str())
            .collect();
        anyhow::ensure!(failed.is_empty(), "{}\nworse: {}", text.join("\n"), failed.join(", "));
        Ok(text)
    }
}

/// The figures that both have.
pub(crate) fn compare(before: &Outcome, after: &Outcome) -> Vec<Line> {
    let both =
        before.figures.iter().filter_map(|(name, before)| Some((name, before, after.figures.get(name)?)));
    let line = |(name, before, after): (&String, &Figure, &Figure)| {
        let ratio = (before.value != 0.0).then(|| after.value / before.value);
        let worse = match (after.better, ratio) {
            (Better::Lower, Some(ratio)) => ratio - 1.0,
            (Better::Lower, None) if after.value > 0.0 => f64::INFINITY,
            // Half as much is as bad as twice as much is good.
            (Better::Higher, Some(ratio)) if ratio > 0.0 => 1.0 / ratio - 1.0,
            (Better::Higher, Some(_)) => f64::INFINITY,
            (Better::Lower | Better::Higher, None) | (Better::Neither, _) => 0.0,
        };
        Line { name: name.clone(), before: before.clone(), after: after.clone(), ratio, worse }
    };
    both.map(line).collect()
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, before, after, .. } = self;
        let ratio = self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
        let mark = match self.worse {
            worse if worse > MARKED => "  worse",
            worse if worse < -MARKED => "  better",
            _alike => "",
        };
        write!(
            f,
            "{name:<36} {:>14} {:>14} {ratio:>8} {}{mark}",
            short(before.value),
            short(after.value),
            after.unit
        )
    }
}

/// As many digits as tell something.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        whole if whole >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        tens if tens >= 10.0 => format!("{value:.1}"),
        _small => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(figures: &[(&str, f64, Better)]) -> Outcome {
        let mut outcome = Outcome { schema: crate::result::SCHEMA, ..Outcome::default() };
        for (name, value, better) in figures {
            outcome.figure(*name, *value, "", *better);
        }
        outcome
    }

    #[test]
    fn worse_depends_on_what_is_good() {
        use Better::{Higher, Lower, Neither};
        let before = outcome(&[
            ("cpu", 10.0, Lower),
            ("rate", 100.0, Higher),
            ("n", 1.0, Neither),
            ("gone", 1.0, Lower),
        ]);
        let after = outcome(&[
            ("cpu", 12.0, Lower),
            ("rate", 50.0, Higher),
            ("n", 9.0, Neither),
            ("new", 1.0, Lower),
        ]);
        let lines = compare(&before, &after);
        let worse: Vec<(&str, f64)> =
            lines.iter().map(|line| (line.name.as_str(), (line.worse * 100.0).round())).collect();
        assert_eq!(worse, [("cpu", 20.0), ("n", 0.0), ("rate", 100.0)]);
        assert!(lines[0].to_string().ends_with("worse"), "{}", lines[0]);
        let back = compare(&after, &before);
        assert!(back[0].worse < -MARKED && back[2].worse < 0.0, "{back:?}");
    }

    #[test]
    fn it_fails_above_what_may_be() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let paths = [folder.path().join("a.json"), folder.path().join("b.json")];
        outcome(&[("cpu", 10.0, Better::Lower)]).write(&paths[0])?;
        outcome(&[("cpu", 11.5, Better::Lower)]).write(&paths[1])?;
        let [before, after] = paths;
        let mut compare = Compare { before, after, fail_above: Some(20.0), only: Vec::new() };
        assert_eq!(compare.run()?.len(), 2);
        compare.fail_above = Some(10.0);
        assert!(compare.run().is_err());
        compare.only = vec!["rate".into()];
        assert!(compare.run().is_ok(), "another figure");
        Ok(())
    }
}
