//! `postrider task init|build|test|try`: a task on the machine of who writes it, in the sandbox that will run it.

mod bench;
mod component;
mod project;
mod report;
mod sample;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand, ValueEnum};

use self::bench::Bench;
use self::sample::{Sample, Stated};
use super::failure::{Code, Failure};
use super::print;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Write a task that can be built, tested and changed
    Init(Init),
    /// Run the project's `build`, make a component of task.wasm where there is a folder `wit`, and check it
    Build(Project),
    /// Run task.wasm at each of `samples`, in the sandbox, and compare the answers
    Test(Project),
    /// Run a module once, in the sandbox, and print its answer
    Try(Try),
}

#[derive(Args, Debug)]
pub(super) struct Init {
    /// A folder that is not there yet, or is empty
    directory: PathBuf,
    /// rust: a command, JSON in and JSON out; c: a component
    #[arg(long, value_enum, default_value = "rust")]
    lang: Language,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Language {
    Rust,
    C,
}

#[derive(Args, Debug)]
pub(super) struct Project {
    /// Where `task init` wrote it
    #[arg(default_value = ".")]
    directory: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct Try {
    /// The module: a component or a command; or the name of a built-in
    module: PathBuf,
    /// A JSON object with `content`, and perhaps `type`, `content_type`, `metadata` and `recipient`
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// What it is granted and its limits, as `settings.json` of a project
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

/// What a project's module is called.
const MODULE: &str = "task.wasm";
/// Where a project says what its module is granted, and its limits.
const SETTINGS: &str = "settings.json";

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(arguments) => init(&arguments),
        Command::Build(project) => build(&project.directory).await,
        Command::Test(project) => test(&project.directory).await,
        Command::Try(arguments) => attempt(&arguments).await,
    }
}

fn init(arguments: &Init) -> Result<(), Failure> {
    let files = match arguments.lang {
        Language::Rust => project::RUST,
        Language::C => project::C,
    };
    project::write(&arguments.directory, files)?;
    let at = arguments.directory.display();
    print::line(format_args!(
        "{at} is ready: change it, then postrider task build {at} && postrider task test {at}"
    ))?;
    Ok(())
}

async fn build(directory: &Path) -> Result<(), Failure> {
    let directory = existing(directory)?;
    let script = directory.join("build");
    let status = tokio::process::Command::new(&script)
        .current_dir(&directory)
        .status()
        .await
        .with_context(|| format!("{} cannot be run", script.display()))?;
    if !status.success() {
        return Err(anyhow!("{} ended with {status}", script.display()).into());
    }
    let at = directory.join(MODULE);
    let mut wasm = read(&at)?;
    let wit = directory.join("wit");
    if wit.exists() && component::is_core(&wasm) {
        wasm = component::of(&wasm, &wit)?;
        std::fs::write(&at, &wasm)?;
    }
    let digest = Bench::new(wasm.clone(), settings(Some(&directory.join(SETTINGS)))?)?.prepare().await?;
    print::line(format_args!("{}  {} bytes  {digest}", at.display(), wasm.len()))?;
    Ok(())
}

async fn test(directory: &Path) -> Result<(), Failure> {
    let samples = samples(&directory.join("samples"))?;
    let module = read(&directory.join(MODULE))?;
    let bench = Bench::new(module, settings(Some(&directory.join(SETTINGS)))?)?;
    let mut wrong = 0;
    for (name, text) in &samples {
        let sample = Sample::read(text).with_context(|| name.clone())?;
        let report = bench.run(&sample.input.input().with_context(|| name.clone())?).await?;
        let told = report::told(&report);
        let agrees = report::agrees(&sample.answer, &told);
        print::line(format_args!(
            "{name}: {} ({})",
            if agrees { "as expected" } else { "not as expected" },
            report::usage(&report)
        ))?;
        report::log(&report)?;
        if !agrees {
            wrong += 1;
            print::line(format_args!("  expected {}", sample.answer))?;
            print::line(format_args!("  answered {told}"))?;
        }
    }
    if wrong > 0 {
        return Err(anyhow!("{wrong} of {} samples not as expected", samples.len()).into());
    }
    Ok(())
}

async fn attempt(arguments: &Try) -> Result<(), Failure> {
    let module = match bench::builtin(&arguments.module) {
        Some(wasm) if !arguments.module.exists() => wasm.to_vec(),
        Some(_) | None => read(&arguments.module)?,
    };
    let text = text(&arguments.input)?;
    let input = Stated::read(&text).with_context(|| arguments.input.display().to_string())?.input()?;
    let report = Bench::new(module, settings(arguments.settings.as_deref())?)?.run(&input).await?;
    print::line(report::told(&report))?;
    print::note(report::usage(&report));
    report::log_beside(&report);
    match &report.answer {
        Ok(_answer) => Ok(()),
        Err(failure) => Err(anyhow!("{}: {failure}", failure.code()).into()),
    }
}

/// All samples of a folder, by name.
fn samples(folder: &Path) -> Result<Vec<(String, String)>, Failure> {
    let listed = std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut samples = Vec::new();
    for entry in listed {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            samples.push((name, text(&path)?));
        }
    }
    samples.sort();
    if samples.is_empty() {
        return Err(Failure::usage(format_args!("there are no samples in {}", folder.display())));
    }
    Ok(samples)
}

/// What a module is granted: nothing where nothing is said.
fn settings(at: Option<&Path>) -> Result<shared::task::settings::Settings, Failure> {
    let Some(at) = at.filter(|at| at.exists() || at.file_name().is_none_or(|name| name != SETTINGS)) else {
        return Ok(shared::task::settings::Settings::default());
    };
    shared::task::settings::Settings::parse(&text(at)?)
        .map_err(|error| Failure::new(Code::Usage, anyhow!("{}: {error}", at.display())))
}

fn existing(directory: &Path) -> Result<PathBuf, Failure> {
    Ok(directory.canonicalize().with_context(|| directory.display().to_string())?)
}

fn read(at: &Path) -> Result<Vec<u8>, Failure> {
    Ok(std::fs::read(at).with_context(|| format!("{} cannot be read", at.display()))?)
}

fn text(at: &Path) -> Result<String, Failure> {
    Ok(std::fs::read_to_string(at).with_context(|| format!("{} cannot be read", at.display()))?)
}
