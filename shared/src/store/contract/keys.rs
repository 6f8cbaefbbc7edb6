//! Checks of [`ApiKeys`].

use std::time::Duration;

use super::super::{ApiKey, ApiKeys, Error};
use super::{NOW, tenant};
use crate::recipient::TenantId;

/// All checks.
pub async fn all(keys: &dyn ApiKeys) {
    a_key_is_found_by_its_hash(keys).await;
    a_taken_id_or_hash_conflicts(keys).await;
    a_revoked_key_stays_found_and_says_so(keys).await;
    tenants_never_see_each_other(keys).await;
    a_list_is_oldest_first_and_bounded(keys).await;
}

fn key(tenant: &TenantId) -> ApiKey {
    let mut hash = [0; 32];
    rand::fill(&mut hash);
    ApiKey {
        id: format!("key-{:016x}", rand::random::<u64>()),
        hash,
        tenant: tenant.clone(),
        label: "ci's \"grün\"".into(),
        created: NOW,
        expires: None,
        revoked: None,
    }
}

/// And only by that.
pub async fn a_key_is_found_by_its_hash(keys: &dyn ApiKeys) {
    let acme = tenant();
    let key = ApiKey { expires: Some(NOW.after(Duration::from_secs(1))), ..key(&acme) };
    keys.create_key(&key).await.expect("create_key");
    assert_eq!(keys.find_key(&key.hash).await.expect("find_key"), Some(key.clone()));
    let mut other = key.hash;
    other[31] ^= 1;
    assert_eq!(keys.find_key(&other).await.expect("find_key"), None);
}

/// The first stays as it is.
pub async fn a_taken_id_or_hash_conflicts(keys: &dyn ApiKeys) {
    let acme = tenant();
    let first = key(&acme);
    keys.create_key(&first).await.expect("create_key");
    let same_id = ApiKey { id: first.id.clone(), ..key(&acme) };
    let same_hash = ApiKey { hash: first.hash, ..key(&acme) };
    for taken in [&first, &same_id, &same_hash] {
        assert!(matches!(keys.create_key(taken).await, Err(Error::Conflict)));
    }
    assert_eq!(keys.list_keys(Some(&acme), 10).await.expect("list_keys"), [first]);
}

/// The time of the first revocation counts.
pub async fn a_revoked_key_stays_found_and_says_so(keys: &dyn ApiKeys) {
    let key = key(&tenant());
    keys.create_key(&key).await.expect("create_key");
    assert!(keys.revoke_key(&key.id, NOW).await.expect("revoke_key"));
    assert!(keys.revoke_key(&key.id, NOW.after(Duration::from_secs(9))).await.expect("revoke_key"));
    assert!(!keys.revoke_key("no-such-key", NOW).await.expect("revoke_key"));
    let found = keys.find_key(&key.hash).await.expect("find_key");
    assert_eq!(found, Some(ApiKey { revoked: Some(NOW), ..key }));
}

/// Each sees its own keys.
pub async fn tenants_never_see_each_other(keys: &dyn ApiKeys) {
    let (acme, other) = (tenant(), tenant());
    let mine = key(&acme);
    keys.create_key(&mine).await.expect("create_key");
    assert!(keys.list_keys(Some(&other), 10).await.expect("list_keys").is_empty());
    assert_eq!(keys.list_keys(Some(&acme), 10).await.expect("list_keys"), [mine]);
}

/// Also when several were made at once.
pub async fn a_list_is_oldest_first_and_bounded(keys: &dyn ApiKeys) {
    let acme = tenant();
    let mut made: Vec<ApiKey> = (0..4).map(|_| key(&acme)).collect();
    for (age, key) in made.iter_mut().enumerate() {
        key.created = NOW.after(Duration::from_secs(9 - age as u64));
        keys.create_key(key).await.expect("create_key");
    }
    made.reverse();
    assert_eq!(keys.list_keys(Some(&acme), 3).await.expect("list_keys"), made[..3]);
    assert_eq!(keys.list_keys(None, 1).await.expect("list_keys").len(), 1);
}
