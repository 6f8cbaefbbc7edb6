//! Which tokens are believed.

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);
// A key made for this test alone.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIK2HjJAtnI97lJZE/4r7A7J+RYal6JdSJD64vFPEysOg
-----END PRIVATE KEY-----";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAQZdWVwZXy+MlINVL27PQ/EWcaXt+9CREsZN6qMBwTWU=
-----END PUBLIC KEY-----";

fn settings() -> AuthSettings {
    AuthSettings { secret: Secret::new(SECRET.to_owned()), ..AuthSettings::default() }
}

fn sign(algorithm: Algorithm, claims: &serde_json::Value, secret: &str) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes()))
        .unwrap()
}

#[test]
fn only_a_whole_token_of_our_key_that_is_in_time_is_believed() {
    let authenticator = Authenticator::new(&settings()).unwrap();
    let good = json!({"sub": "alice", "tenant": "acme", "exp": 1_000_060, "other": [1]});
    let with = |field: &str, value: serde_json::Value| {
        let mut claims = good.clone();
        claims[field] = value;
        sign(Algorithm::HS256, &claims, SECRET)
    };
    let without = |field: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(field);
        sign(Algorithm::HS256, &claims, SECRET)
    };
    let signed = sign(Algorithm::HS256, &good, SECRET);
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhbGljZSIsInRlbmFudCI6ImFjbWUiLCJleHAiOjk5OTk5OTk5OTl9.";
    let rows = [
        ("empty", String::new(), Some(Denied::Missing)),
        ("words", "not a token".to_owned(), Some(Denied::Malformed)),
        ("alg none", unsigned.to_owned(), Some(Denied::Malformed)),
        ("huge", "a".repeat(MAX_TOKEN_BYTES + 1), Some(Denied::Malformed)),
        ("cut", signed[..signed.len() - 4].to_owned(), Some(Denied::Signature)),
        (
            "forged",
            sign(Algorithm::HS256, &good, "another secret of thirty-two byte"),
            Some(Denied::Signature),
        ),
        ("other algorithm", sign(Algorithm::HS512, &good, SECRET), Some(Denied::Algorithm)),
        ("expired", with("exp", json!(999_970)), Some(Denied::Expired)),
        ("within leeway", with("exp", json!(999_971)), None),
        ("fraction", with("exp", json!(1_000_060.7)), None),
        ("exp as text", with("exp", json!("1000060")), Some(Denied::Malformed)),
        ("not yet", with("nbf", json!(1_000_031)), Some(Denied::NotYet)),
        ("nbf within leeway", with("nbf", json!(1_000_030)), None),
        ("no exp", without("exp"), Some(Denied::Malformed)),
        ("no sub", without("sub"), Some(Denied::Malformed)),
        ("no tenant", without("tenant"), Some(Denied::Malformed)),
        ("sub with slash", with("sub", json!("a/b")), Some(Denied::Name)),
        ("empty sub", with("sub", json!("")), Some(Denied::Name)),
        ("tenant in capitals", with("tenant", json!("ACME")), Some(Denied::Name)),
        ("an audience where none is ours", with("aud", json!("x")), Some(Denied::Elsewhere)),
        ("good", signed.clone(), None),
    ];
    for (name, token, denied) in rows {
        assert_eq!(authenticator.verify(&token, NOW).err(), denied, "{name}");
    }
    let identity = authenticator.verify(&signed, NOW).unwrap();
    assert_eq!(identity.recipient.key(), "acme/alice");
    assert_eq!(identity.expires, Timestamp::from_millis(1_000_090_000));
}

#[test]
fn issuer_and_audience_must_match_where_they_are_configured() {
    let settings = AuthSettings { issuer: "me".to_owned(), audience: "push".to_owned(), ..settings() };
    let authenticator = Authenticator::new(&settings).unwrap();
    let rows = [
        (json!("me"), json!("push"), None),
        (json!("me"), json!(["x", "push"]), None),
        (json!("me"), json!("x"), Some(Denied::Elsewhere)),
        (json!("you"), json!("push"), Some(Denied::Elsewhere)),
    ];
    for (iss, aud, denied) in rows {
        let claims = json!({"sub": "alice", "tenant": "acme", "exp": 1_000_060, "iss": iss, "aud": aud});
        let token = sign(Algorithm::HS256, &claims, SECRET);
        assert_eq!(authenticator.verify(&token, NOW).err(), denied, "{claims}");
    }
    let bare = mint(
        &Claims { sub: "a".into(), tenant: "b".into(), exp: 1_000_060, ..Claims::default() },
        &settings.secret,
    );
    assert_eq!(authenticator.verify(&bare.unwrap(), NOW).err(), Some(Denied::Elsewhere));
}

#[test]
fn a_minted_token_is_believed() {
    let claims = Claims { sub: "alice".into(), tenant: "acme".into(), exp: 1_000_060, ..Claims::default() };
    let token = mint(&claims, &settings().secret).unwrap();
    let identity = Authenticator::new(&settings()).unwrap().verify(&token, NOW).unwrap();
    assert_eq!(identity.recipient.key(), "acme/alice");
}

#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    let public = PUBLIC.to_owned();
    let settings = AuthSettings {
        algorithm: SigningAlgorithm::EdDSA,
        public_key: public.clone(),
        ..AuthSettings::default()
    };
    let authenticator = Authenticator::new(&settings).unwrap();
    let claims = json!({"sub": "alice", "tenant": "acme", "exp": 1_000_060});
    let key = EncodingKey::from_ed_pem(PRIVATE.as_bytes()).unwrap();
    let token = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &key).unwrap();
    assert!(authenticator.verify(&token, NOW).is_ok());
    let confused = sign(Algorithm::HS256, &claims, &public);
    assert_eq!(authenticator.verify(&confused, NOW), Err(Denied::Algorithm));
}

#[test]
fn there_is_no_mode_without_a_key() {
    assert!(matches!(Authenticator::new(&AuthSettings::default()), Err(KeyError::Missing)));
    let eddsa = AuthSettings { algorithm: SigningAlgorithm::EdDSA, ..AuthSettings::default() };
    assert!(matches!(Authenticator::new(&eddsa), Err(KeyError::Missing)));
    let short = AuthSettings { secret: Secret::new("short".to_owned()), ..AuthSettings::default() };
    assert!(matches!(Authenticator::new(&short), Err(KeyError::SecretTooShort)));
    let garbage = AuthSettings { public_key: "x".to_owned(), ..eddsa };
    assert!(matches!(Authenticator::new(&garbage), Err(KeyError::PublicKey(_))));
}
