//! `/v1/modules`.

use std::time::Duration;

use postrider_receiver::{Config, ModuleSettings};
use serde_json::{Value, json};
use shared::digest::Digest;

use super::client::{Answer, Call};
use super::fakes::Stage;

/// A command that does nothing, `size` bytes long or more.
pub(crate) fn command(size: usize) -> Vec<u8> {
    let text = format!("(module (func (export \"_start\")) (@custom \"size\" \"{}\"))", "x".repeat(size));
    wat::parse_str(text).unwrap()
}

/// Puts a version of a module there that takes what `settings` say.
pub(crate) async fn put(stage: &Stage, module: &str, settings: &Value) -> Answer {
    let mut body = settings.to_string().into_bytes();
    body.extend(command(0));
    Call::new("PUT", &format!("/v1/modules/{module}")).body(body).send(stage).await
}

async fn get(stage: &Stage, path: &str) -> Answer {
    Call::new("GET", path).send(stage).await
}

async fn alias(stage: &Stage, path: &str, version: &str) -> Answer {
    Call::put(&format!("/v1/modules/{path}"), &json!({"version": version})).send(stage).await
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.json());
}

#[tokio::test]
async fn a_module_is_put_there_once_and_never_changes() {
    let stage = Stage::start().await;
    let settings = json!({"limits": {"fuel": 10_000}, "description": "it does nothing"});
    let put_there = put(&stage, "noop@1.0.0", &settings).await;
    assert_eq!(put_there.status, 201, "{}", put_there.json());
    let shown = put_there.json();
    assert_eq!(shown["digest"], Digest::of(&command(0)).to_string());
    assert_eq!((&shown["size_bytes"], &shown["settings"]), (&json!(command(0).len()), &settings));
    assert_eq!(shown["created_by"], json!(stage.key[4..20]));
    let again = put(&stage, "noop@1.0.0", &settings).await;
    assert_eq!((again.status, again.json()), (200, shown.clone()));
    refused(&put(&stage, "noop@1.0.0", &json!({})).await, 409, "version-taken");
    let other = Call::new("PUT", "/v1/modules/noop@1.0.0").body(command(9)).send(&stage).await;
    refused(&other, 409, "version-taken");
    let whole = get(&stage, "/v1/modules/noop").await.json();
    assert_eq!((&whole["version"], &whole["aliases"][0]["alias"]), (&json!("1.0.0"), &json!("live")));
    assert_eq!(whole["settings"], settings);
}

/// As toolchains make it, which a world's types are imported by.
#[tokio::test]
async fn a_component_as_toolchains_make_it_is_put_there() {
    let stage = Stage::start().await;
    let component = include_bytes!("../../../examples/tasks/c-redact/task.wasm");
    let put_there = Call::new("PUT", "/v1/modules/redact@1").body(component.to_vec()).send(&stage).await;
    assert_eq!(put_there.status, 201, "{}", put_there.json());
}

#[tokio::test]
async fn what_is_no_module_is_refused_with_the_reason() {
    let module_bytes = command(2000).len();
    let modules = ModuleSettings { module_bytes, versions: 2, ..ModuleSettings::default() };
    let stage = Stage::with(Config { modules, ..Config::default() }).await;
    let send = async |path: &str, body: Vec<u8>| {
        Call::new("PUT", &format!("/v1/modules/{path}")).body(body).send(&stage).await
    };
    let bare = |text: &str| wat::parse_str(text).unwrap();
    let with = |settings: &str| [settings.as_bytes(), &command(0)].concat();
    for (path, body, status, code) in [
        ("m@1", vec![], 422, "module-unfit"),
        ("m@1", b"{}".to_vec(), 422, "module-unfit"),
        ("m@1", bare("(module)"), 422, "module-unfit"),
        ("m@1", command(0)[..9].to_vec(), 422, "module-unfit"),
        (
            "m@1",
            bare("(module (import \"env\" \"f\" (func)) (func (export \"_start\")))"),
            422,
            "module-unfit",
        ),
        ("m@1", command(2001), 413, "body-too-large"),
        ("m@1", vec![1; module_bytes + 200 * 1024], 413, "body-too-large"),
        ("m@1", with("{\"colour\":1}"), 422, "module-settings-invalid"),
        ("m@1", with("{"), 422, "module-settings-invalid"),
        ("m@1", with("{\"input_schema\":{\"$ref\":\"https://x/y\"}}"), 422, "module-settings-invalid"),
        ("m@1", with("{\"input_schema\":{\"$ref\":\"#\"}}"), 422, "module-settings-invalid"),
        ("m", command(0), 422, "name-invalid"),
        ("M@1", command(0), 422, "name-invalid"),
        ("m@live", command(0), 422, "name-invalid"),
        ("m@builtin", command(0), 422, "name-invalid"),
    ] {
        let answer = send(path, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path} {}", answer.json());
    }
    assert_eq!(get(&stage, "/v1/modules").await.json()["modules"], json!([]));
    assert_eq!(send("m@1", command(2000)).await.status, 201);
    assert_eq!(send("m@2", command(0)).await.status, 201);
    refused(&send("m@3", command(0)).await, 422, "modules-too-many");
    assert_eq!(send("m@2", command(0)).await.status, 200);
}

#[tokio::test]
async fn another_module_than_the_one_whose_digest_was_stated_is_refused() {
    let stage = Stage::start().await;
    let with = async |name: &str, value: &str| {
        Call::new("PUT", "/v1/modules/m@1").header(name, value).body(command(0)).send(&stage).await
    };
    let digest = Digest::of(&command(0));
    let other = Digest::of(b"other").to_string();
    refused(&with("postrider-module-digest", &other).await, 422, "digest-mismatch");
    let none = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    refused(&with("content-digest", none).await, 422, "digest-mismatch");
    refused(&with("content-digest", "md5=:x:").await, 400, "header-invalid");
    refused(&with("postrider-module-digest", "x").await, 400, "header-invalid");
    assert_eq!(with("postrider-module-digest", &digest.to_string()).await.status, 201);
    use base64::Engine as _;
    let stated = base64::engine::general_purpose::STANDARD.encode(digest.as_bytes());
    assert_eq!(with("content-digest", &format!("md5=:eA==:, sha-256=:{stated}:")).await.status, 200);
}

#[tokio::test]
async fn an_alias_says_which_version_is_meant_and_goes_back() {
    let stage = Stage::start().await;
    for version in ["1", "2"] {
        assert_eq!(put(&stage, &format!("m@{version}"), &json!({})).await.status, 201);
    }
    let rollback =
        async |path: &str| Call::new("POST", &format!("/v1/modules/{path}/rollback")).send(&stage).await;
    refused(&rollback("m/aliases/live").await, 409, "nothing-before");
    let set = alias(&stage, "m/aliases/live", "2").await;
    assert_eq!((&set.json()["version"], &set.json()["previous"]), (&json!("2"), &json!("1")));
    assert_eq!(get(&stage, "/v1/modules/m").await.json()["version"], "2");
    assert_eq!(rollback("m/aliases/live").await.json()["version"], "1");
    assert_eq!(alias(&stage, "m/aliases/canary", "2").await.status, 200);
    assert_eq!(get(&stage, "/v1/modules/m@canary").await.json()["version"], "2");
    for (answer, status, code) in [
        (alias(&stage, "m/aliases/live", "3").await, 404, "module-not-found"),
        (alias(&stage, "n/aliases/live", "1").await, 404, "module-not-found"),
        (alias(&stage, "m/aliases/1", "2").await, 409, "alias-taken"),
        (alias(&stage, "m/aliases/builtin", "2").await, 422, "name-invalid"),
        (rollback("m/aliases/none").await, 404, "alias-not-found"),
        (rollback("n/aliases/live").await, 404, "module-not-found"),
        (put(&stage, "m@canary", &json!({})).await, 409, "version-taken"),
    ] {
        refused(&answer, status, code);
    }
    let delete =
        async |module: &str| Call::new("DELETE", &format!("/v1/modules/{module}")).send(&stage).await;
    refused(&delete("m@1").await, 409, "version-aliased");
    refused(&delete("m").await, 422, "name-invalid");
    assert_eq!(alias(&stage, "m/aliases/live", "2").await.status, 200);
    assert_eq!(delete("m@1").await.status, 204);
    refused(&delete("m@1").await, 404, "module-not-found");
}

#[tokio::test]
async fn a_list_goes_page_by_page_by_name_the_newest_version_first() {
    let stage = Stage::start().await;
    for module in ["b@1", "a@1", "a@2"] {
        assert_eq!(put(&stage, module, &json!({})).await.status, 201);
        stage.clock.advance(Duration::from_secs(1));
    }
    let named = |page: &Value| -> Vec<String> {
        let name =
            |one: &Value| format!("{}@{}", one["name"].as_str().unwrap(), one["version"].as_str().unwrap());
        page["modules"].as_array().unwrap().iter().map(name).collect()
    };
    let first = get(&stage, "/v1/modules?limit=2").await.json();
    assert_eq!(named(&first), ["a@2", "a@1"]);
    let cursor = first["cursor"].as_str().unwrap();
    let last = get(&stage, &format!("/v1/modules?limit=2&cursor={cursor}")).await.json();
    assert_eq!((named(&last), last.get("cursor")), (vec!["b@1".to_owned()], None));
    assert_eq!(named(&get(&stage, "/v1/modules?name=b").await.json()), ["b@1"]);
    for query in ["?limit=0", "?limit=201", "?name=A", "?cursor=x", "?colour=red", "?name=a&name=b"] {
        refused(&get(&stage, &format!("/v1/modules{query}")).await, 400, "query-invalid");
    }
}

#[tokio::test]
async fn nothing_of_another_tenant_is_there() {
    let stage = Stage::start().await;
    let (_id, other) = stage.new_key("globex", None).await;
    assert_eq!(put(&stage, "m@1", &json!({})).await.status, 201);
    assert_eq!(put(&stage, "m@2", &json!({})).await.status, 201);
    for (method, path) in [
        ("GET", "/v1/modules/m"),
        ("GET", "/v1/modules/m@1"),
        ("DELETE", "/v1/modules/m@2"),
        ("POST", "/v1/modules/m/aliases/live/rollback"),
    ] {
        refused(&Call::new(method, path).send_as(&other, &stage).await, 404, "module-not-found");
    }
    let set = Call::put("/v1/modules/m/aliases/live", &json!({"version": "2"}));
    refused(&set.send_as(&other, &stage).await, 404, "module-not-found");
    let listed = Call::new("GET", "/v1/modules").send_as(&other, &stage).await.json();
    assert_eq!(listed["modules"], json!([]));
    let task = json!({"module": "m", "to": {"recipient": "a"}, "content": 1}).to_string();
    refused(&Call::json("/v1/tasks", task).send_as(&other, &stage).await, 422, "module-unknown");
    assert_eq!(get(&stage, "/v1/modules/m").await.json()["version"], "1");
    let nobodys = Call::new("PUT", "/v1/modules/m@3").body(command(0)).send_bare(stage.address).await;
    assert_eq!(nobodys.status, 401);
}
