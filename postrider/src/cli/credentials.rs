//! Where a command finds its key, its token and its server when nobody says: in the data directory of
//! `postrider standalone`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use postrider_distributor::auth::{Claims, mint};
use shared::clock::{Clock as _, SystemClock};
use shared::config::Secret;
use shared::recipient::{Recipient, RecipientId, TenantId};

use super::failure::Failure;
use crate::data_dir::{self, Credentials, DataDir};

/// The tenant of everything that `postrider standalone` makes.
pub(super) const DEFAULT_TENANT: &str = "default";

/// The data directory of `postrider standalone`.
#[derive(Args, Clone, Debug)]
pub(super) struct Embedded {
    /// Data directory of `postrider standalone`, for addresses and credentials that are not given
    #[arg(long, value_name = "DIR", default_value = data_dir::DEFAULT)]
    data_dir: PathBuf,
}

impl Embedded {
    /// The one at `data_dir`, or where it is when nobody says.
    pub(super) fn at(data_dir: Option<PathBuf>) -> Self {
        Self { data_dir: data_dir.unwrap_or_else(|| data_dir::DEFAULT.into()) }
    }

    fn dir(&self) -> DataDir {
        DataDir::at(&self.data_dir)
    }

    /// What the first start made; `wanted` names the flag that would say it instead.
    pub(super) fn credentials(&self, wanted: &str) -> Result<Credentials, Failure> {
        self.dir().credentials()?.ok_or_else(|| {
            let file = self.dir().credentials_file();
            Failure::usage(format_args!("there is no {} (where is the data?): give {wanted}", file.display()))
        })
    }

    /// Where the receiver is.
    pub(super) fn receiver(&self) -> String {
        let found = self.dir().addresses().and_then(|addresses| addresses.receiver);
        found.map_or_else(|| "http://127.0.0.1:8080".into(), |address| format!("http://{address}"))
    }

    /// Where the distributor is.
    pub(super) fn distributor(&self) -> String {
        let found = self.dir().addresses().and_then(|addresses| addresses.distributor);
        found.map_or_else(|| "http://127.0.0.1:8081".into(), |address| format!("http://{address}"))
    }
}

/// A recipient of a tenant, as flags give them.
pub(super) fn recipient(tenant: &str, id: &str) -> Result<Recipient, Failure> {
    let tenant =
        TenantId::parse(tenant).map_err(|error| Failure::usage(format_args!("tenant {tenant:?} {error}")))?;
    let id =
        RecipientId::parse(id).map_err(|error| Failure::usage(format_args!("recipient {id:?} {error}")))?;
    Ok(Recipient::new(tenant, id))
}

/// What a token for `recipient` says that is good for `ttl` from now.
pub(super) fn claims(recipient: &Recipient, ttl: Duration) -> Claims {
    let expires = SystemClock.now().after(ttl);
    Claims {
        sub: recipient.id.to_string(),
        tenant: recipient.tenant.to_string(),
        exp: expires.as_millis() / 1000,
        ..Claims::default()
    }
}

/// A token for `recipient`, signed with HS256.
pub(super) fn token(recipient: &Recipient, ttl: Duration, secret: &Secret) -> Result<String, Failure> {
    Ok(mint(&claims(recipient, ttl), secret)?)
}
