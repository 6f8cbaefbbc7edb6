//! `postrider token`: signs client tokens, for trying things out and for backends that have no JWT library.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use postrider_distributor::auth::AuthSettings;
use shared::config::Secret;
use shared::process::SettingsFlags;

use super::credentials::{DEFAULT_TENANT, Embedded, claims, recipient};
use super::failure::Failure;
use super::print;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Sign a token for one recipient and print it
    Create(Create),
}

#[derive(Args, Debug)]
pub(super) struct Create {
    /// Whose notifications it lets one read
    #[arg(long)]
    recipient: String,
    #[arg(long, default_value = DEFAULT_TENANT)]
    tenant: String,
    /// How long it is good, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    ttl: u64,
    /// File with the HS256 secret [default: auth.secret of the settings, else the secret of --data-dir]
    #[arg(long, value_name = "FILE", conflicts_with = "private_key_file")]
    secret_file: Option<PathBuf>,
    /// File with an Ed25519 private key, PEM, whose public key is auth.public_key
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// `iss`, where auth.issuer is set
    #[arg(long)]
    issuer: Option<String>,
    /// `aud`, where auth.audience is set
    #[arg(long)]
    audience: Option<String>,
    #[command(flatten)]
    settings: SettingsFlags,
    #[command(flatten)]
    embedded: Embedded,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    let Command::Create(create) = command;
    let recipient = recipient(&create.tenant, &create.recipient)?;
    let mut claims = claims(&recipient, Duration::from_secs(create.ttl));
    (claims.iss, claims.aud) = (create.issuer.clone(), create.audience.clone());
    let signed = match (&create.private_key_file, &create.secret_file) {
        (Some(file), _) => {
            let key = EncodingKey::from_ed_pem(read(file)?.expose().as_bytes())
                .map_err(|error| Failure::usage(format_args!("{}: {error}", file.display())))?;
            jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &key)?
        }
        (None, Some(file)) => postrider_distributor::auth::mint(&claims, &read(file)?)?,
        (None, None) => postrider_distributor::auth::mint(&claims, &create.secret()?)?,
    };
    Ok(print::line(signed)?)
}

impl Create {
    /// The secret of the settings, where they have one, else the one that `standalone` made.
    fn secret(&self) -> Result<Secret, Failure> {
        let mut sources = self.settings.load().map_err(Failure::settings)?;
        // A key pair, or no key at all, leaves the secret empty; what else may be wrong with [auth] is not asked here.
        let auth: AuthSettings = sources.section();
        if auth.secret.is_empty() {
            return Ok(self.embedded.credentials("--secret-file, or auth.secret in --config")?.token_secret);
        }
        sources.finish().map_err(Failure::settings)?;
        Ok(auth.secret)
    }
}

fn read(file: &Path) -> Result<Secret, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format_args!("{}: {error}", file.display())))?;
    Ok(Secret::new(text.trim_end().to_owned()))
}
