//! What the first start makes, so that one command is enough to try everything: an API key and a secret for tokens.

use postrider_distributor::auth::{AuthSettings, SigningAlgorithm};
use shared::clock::Clock as _;
use shared::credential::ApiSecret;
use shared::recipient::TenantId;
use shared::store::{ApiKey, ApiKeys as _};

use super::Engines;
use super::settings::random_secret;
use crate::data_dir::{Credentials, DataDir};

const TENANT: &str = "default";
const LABEL: &str = "made by the first start";

/// Makes what is missing: the credentials, and the store's entry of the API key, so that a start that was cut short is
/// made good by the next. A secret in `[auth]` wins and is kept with the credentials, for `postrider listen`.
pub(super) async fn credentials(
    data_dir: &DataDir,
    auth: &mut AuthSettings,
    engines: &Engines,
) -> anyhow::Result<()> {
    let now = engines.clock.now();
    let tenant = TenantId::parse(TENANT)?;
    let found = data_dir.credentials()?;
    let secret = match &found {
        Some(found) => ApiSecret::parse(found.api_key.expose())?,
        None => ApiSecret::generate(tenant.clone(), LABEL.into(), now, None).1,
    };
    let token_secret = match &found {
        _ if !auth.secret.is_empty() => auth.secret.clone(),
        Some(found) => found.token_secret.clone(),
        None => random_secret(),
    };
    let unchanged = found.as_ref().is_some_and(|found| found.token_secret.expose() == token_secret.expose());
    if !unchanged {
        let credentials = Credentials { api_key: secret.text(), token_secret: token_secret.clone() };
        data_dir.write_credentials(&credentials)?;
    }
    if auth.algorithm == SigningAlgorithm::HS256 {
        auth.secret = token_secret;
    }
    if engines.store.find_key(&secret.hash()).await?.is_none() {
        let key = ApiKey {
            id: secret.id().to_owned(),
            hash: secret.hash(),
            tenant,
            label: LABEL.into(),
            created: now,
            expires: None,
            revoked: None,
        };
        engines.store.create_key(&key).await?;
    }
    Ok(())
}
