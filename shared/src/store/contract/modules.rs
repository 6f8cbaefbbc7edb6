//! Checks of [`Modules`] and [`Bindings`].

use std::time::Duration;

use bytes::Bytes;

use super::super::{BindingRow, Bindings, EntryName, Error, ModuleRow, Modules};
use super::{NOW, tenant};
use crate::digest::Digest;
use crate::recipient::TenantId;
use crate::task::{ModuleName, ModuleRef, ModuleVersion, OnTimeout};

/// All checks.
pub async fn all<S: Modules + Bindings>(store: &S) {
    the_first_version_is_live_and_found_by_any_of_its_names(store).await;
    the_same_version_again_changes_nothing_and_another_conflicts(store).await;
    of_two_that_put_a_version_at_once_one_is_there(store).await;
    an_alias_moves_and_goes_back(store).await;
    an_alias_is_no_version_and_a_version_no_alias(store).await;
    aliases_set_at_once_are_set_one_after_the_other(store).await;
    a_list_is_by_name_and_the_newest_first(store).await;
    bytes_go_with_the_last_version_that_has_them(store).await;
    bytes_stay_for_who_puts_them_while_they_go(store).await;
    bindings_are_by_name_and_no_more_than_they_may_be(store).await;
}

fn name(text: &str) -> ModuleName {
    ModuleName::parse(text).expect("a module's name")
}

fn version(text: &str) -> ModuleVersion {
    ModuleVersion::parse(text).expect("a version")
}

/// Bytes that no other check has.
fn code() -> Bytes {
    Bytes::copy_from_slice(&rand::random::<[u8; 32]>())
}

fn module(tenant: &TenantId, reference: &str, bytes: &Bytes) -> ModuleRow {
    let ModuleRef { name, version } = ModuleRef::parse(reference).expect("a module");
    ModuleRow {
        tenant: tenant.clone(),
        name,
        version: version.expect("a version"),
        digest: Digest::of(bytes),
        size_bytes: bytes.len() as u64,
        settings: r#"{"description":"grün"}"#.into(),
        created: NOW,
        created_by: "key-1".into(),
    }
}

async fn found(modules: &dyn Modules, tenant: &TenantId, reference: &str) -> Option<ModuleRow> {
    let reference = ModuleRef::parse(reference).expect("a module");
    modules.find_module(tenant, &reference).await.expect("find_module")
}

/// `name`, `name@live` and `name@version`; by another tenant by none.
pub async fn the_first_version_is_live_and_found_by_any_of_its_names(modules: &dyn Modules) {
    let (acme, other, bytes) = (tenant(), tenant(), code());
    let first = module(&acme, "sum@1", &bytes);
    modules.put_module(&first, &bytes).await.expect("put_module");
    modules.put_module(&module(&acme, "sum@2", &code()), &code()).await.expect("put_module");
    for reference in ["sum", "sum@live", "sum@1"] {
        assert_eq!(found(modules, &acme, reference).await.as_ref(), Some(&first), "{reference}");
        assert_eq!(found(modules, &other, reference).await, None);
    }
    assert_eq!(found(modules, &acme, "sum@3").await, None);
    assert_eq!(modules.module_bytes(&first.digest).await.expect("module_bytes"), Some(bytes));
    assert_eq!(modules.module_bytes(&Digest::of(b"none")).await.expect("module_bytes"), None);
    let aliases = modules.aliases(&acme, &first.name).await.expect("aliases");
    assert_eq!(aliases.len(), 1);
    assert_eq!((aliases[0].alias.as_str(), aliases[0].version.as_str()), ("live", "1"));
    assert_eq!((aliases[0].changed, aliases[0].changed_by.as_str()), (NOW, "key-1"));
}

/// By its digest and its settings.
pub async fn the_same_version_again_changes_nothing_and_another_conflicts(modules: &dyn Modules) {
    let (acme, bytes, others) = (tenant(), code(), code());
    let first = module(&acme, "sum@1", &bytes);
    modules.put_module(&first, &bytes).await.expect("put_module");
    let again = ModuleRow { created: NOW.after(Duration::from_secs(1)), ..first.clone() };
    modules.put_module(&again, &bytes).await.expect("put_module");
    let settings = ModuleRow { settings: "{}".into(), ..first.clone() };
    assert!(matches!(modules.put_module(&settings, &bytes).await, Err(Error::Conflict)));
    let content = module(&acme, "sum@1", &others);
    assert!(matches!(modules.put_module(&content, &others).await, Err(Error::Conflict)));
    assert_eq!(found(modules, &acme, "sum@1").await, Some(first));
    assert_eq!(modules.module_bytes(&content.digest).await.expect("module_bytes"), None);
}

/// And the other is told so.
pub async fn of_two_that_put_a_version_at_once_one_is_there(modules: &dyn Modules) {
    let acme = tenant();
    for round in 0..4 {
        let reference = format!("race-{round}@1");
        let (one, other) = (code(), code());
        let rows = [module(&acme, &reference, &one), module(&acme, &reference, &other)];
        let (first, second) =
            tokio::join!(modules.put_module(&rows[0], &one), modules.put_module(&rows[1], &other));
        let there = found(modules, &acme, &reference).await.expect("the one");
        let (won, lost) = if there.digest == rows[0].digest { (first, second) } else { (second, first) };
        won.expect("the one that is there was put");
        assert!(matches!(lost, Err(Error::Conflict)), "{lost:?}");
    }
}

/// Back and forth: what it stood for before is what it goes back to.
pub async fn an_alias_moves_and_goes_back(modules: &dyn Modules) {
    let (acme, sum, live) = (tenant(), name("sum"), version("live"));
    for at in ["sum@1", "sum@2"] {
        let bytes = code();
        modules.put_module(&module(&acme, at, &bytes), &bytes).await.expect("put_module");
    }
    let set = async |alias: &str, to: Option<&str>| {
        let (alias, to) = (version(alias), to.map(version));
        let set = modules.set_alias(&acme, &sum, &alias, to.as_ref(), "anna", NOW).await;
        set.expect("set_alias").map(|row| (row.version.to_string(), row.previous.map(|one| one.to_string())))
    };
    let two = Some(("2".into(), Some("1".into())));
    assert_eq!(set("live", None).await, None, "there is nothing before");
    assert_eq!(set("live", Some("2")).await, two);
    assert_eq!(set("live", Some("2")).await, two, "setting what is set changes nothing");
    assert_eq!(found(modules, &acme, "sum").await.expect("live").version, version("2"));
    assert_eq!(set("live", None).await, Some(("1".into(), Some("2".into()))));
    assert_eq!(set("live", None).await, two);
    assert_eq!(set("live", Some("3")).await, None, "there is no such version");
    assert_eq!(set("canary", None).await, None, "there is no such alias");
    assert_eq!(set("canary", Some("1")).await, Some(("1".into(), None)));
    let aliases = modules.aliases(&acme, &sum).await.expect("aliases");
    assert_eq!(aliases.iter().map(|row| row.alias.as_str()).collect::<Vec<_>>(), ["canary", "live"]);
    assert_eq!((aliases[0].changed, aliases[0].changed_by.as_str()), (NOW, "anna"));
    let none = modules.set_alias(&tenant(), &sum, &live, Some(&version("1")), "anna", NOW).await;
    assert_eq!(none.expect("set_alias"), None, "another tenant has none");
}

/// Else `name@it` would be either.
pub async fn an_alias_is_no_version_and_a_version_no_alias(modules: &dyn Modules) {
    let (acme, sum, bytes) = (tenant(), name("sum"), code());
    let live = module(&acme, "sum@live", &bytes);
    assert!(matches!(modules.put_module(&live, &bytes).await, Err(Error::Conflict)));
    modules.put_module(&module(&acme, "sum@1", &bytes), &bytes).await.expect("put_module");
    let one = version("1");
    let set = modules.set_alias(&acme, &sum, &one, Some(&one), "anna", NOW).await;
    assert!(matches!(set, Err(Error::Conflict)));
    modules.set_alias(&acme, &sum, &version("canary"), Some(&one), "anna", NOW).await.expect("set_alias");
    let canary = module(&acme, "sum@canary", &bytes);
    assert!(matches!(modules.put_module(&canary, &bytes).await, Err(Error::Conflict)));
}

/// Whoever comes second finds what the first has set as what it stood for before.
pub async fn aliases_set_at_once_are_set_one_after_the_other(modules: &dyn Modules) {
    let (acme, sum, live) = (tenant(), name("sum"), version("live"));
    for at in ["sum@1", "sum@2", "sum@3"] {
        let bytes = code();
        modules.put_module(&module(&acme, at, &bytes), &bytes).await.expect("put_module");
    }
    let (two, three) = (version("2"), version("3"));
    let (one, other) = tokio::join!(
        modules.set_alias(&acme, &sum, &live, Some(&two), "anna", NOW),
        modules.set_alias(&acme, &sum, &live, Some(&three), "ben", NOW),
    );
    let (one, other) = (one.expect("set_alias").expect("set"), other.expect("set_alias").expect("set"));
    let chain = |first: &ModuleVersion, previous: Option<ModuleVersion>| previous.as_ref() == Some(first);
    let in_order = chain(&version("1"), one.previous.clone()) && chain(&two, other.previous.clone());
    let reversed = chain(&version("1"), other.previous) && chain(&three, one.previous);
    assert!(in_order || reversed);
}

/// A page goes on behind the last of the one before.
pub async fn a_list_is_by_name_and_the_newest_first(modules: &dyn Modules) {
    let (acme, bytes) = (tenant(), code());
    for (age, at) in ["b@3", "b@2", "b@1", "a@1", "c@1", "c@2"].into_iter().enumerate() {
        // Those of `c` are of one time.
        let created = NOW.before(Duration::from_secs(age.min(4) as u64));
        let row = ModuleRow { created, ..module(&acme, at, &bytes) };
        modules.put_module(&row, &bytes).await.expect("put_module");
    }
    let list = async |of: Option<&str>, after: Option<&str>, limit| {
        let after = after.map(|at| ModuleRef::parse(at).expect("a module"));
        let after = after.as_ref().map(|at| (&at.name, at.version.as_ref().expect("a version")));
        let rows = modules.list_modules(&acme, of.map(name).as_ref(), after, limit).await.expect("list");
        rows.iter().map(|row| format!("{}@{}", row.name, row.version)).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None, 10).await, ["a@1", "b@3", "b@2", "b@1", "c@2", "c@1"]);
    assert_eq!(list(None, None, 2).await, ["a@1", "b@3"]);
    assert_eq!(list(None, Some("b@3"), 2).await, ["b@2", "b@1"]);
    assert_eq!(list(None, Some("c@2"), 2).await, ["c@1"]);
    assert_eq!(list(Some("b"), Some("b@2"), 9).await, ["b@1"]);
    assert!(list(Some("d"), None, 9).await.is_empty());
}

/// Whoever's they are.
pub async fn bytes_go_with_the_last_version_that_has_them(modules: &dyn Modules) {
    let (acme, other, bytes) = (tenant(), tenant(), code());
    let digest = Digest::of(&bytes);
    for row in
        [module(&acme, "sum@1", &code()), module(&acme, "sum@2", &bytes), module(&other, "add@0", &code())]
    {
        modules.put_module(&row, &bytes).await.expect("put_module");
    }
    modules.put_module(&module(&other, "add@1", &bytes), &bytes).await.expect("put_module");
    let (live, two) = (version("1"), version("2"));
    let deleted = modules.delete_module(&acme, &name("sum"), &live).await;
    assert!(matches!(deleted, Err(Error::Conflict)), "an alias stands for it");
    let delete = async |tenant: &TenantId, of: &str, at: &ModuleVersion| {
        modules.delete_module(tenant, &name(of), at).await.expect("delete_module")
    };
    assert!(!delete(&other, "sum", &two).await, "another tenant has none");
    assert!(delete(&acme, "sum", &two).await);
    assert!(!delete(&acme, "sum", &two).await);
    assert_eq!(found(modules, &acme, "sum@2").await, None);
    assert!(modules.module_bytes(&digest).await.expect("module_bytes").is_some());
    assert!(delete(&other, "add", &live).await);
    assert_eq!(modules.module_bytes(&digest).await.expect("module_bytes"), None);
}

/// No version is left without its bytes.
pub async fn bytes_stay_for_who_puts_them_while_they_go(modules: &dyn Modules) {
    let (acme, other) = (tenant(), tenant());
    modules.put_module(&module(&acme, "sum@0", &code()), &code()).await.expect("put_module");
    for round in 1..6 {
        let bytes = code();
        let (mine, theirs) =
            (module(&acme, &format!("sum@{round}"), &bytes), module(&other, &format!("add@{round}"), &bytes));
        modules.put_module(&mine, &bytes).await.expect("put_module");
        let (deleted, put) = tokio::join!(
            modules.delete_module(&acme, &mine.name, &mine.version),
            modules.put_module(&theirs, &bytes)
        );
        assert!(deleted.expect("delete_module"));
        put.expect("put_module");
        assert_eq!(modules.module_bytes(&theirs.digest).await.expect("module_bytes"), Some(bytes));
    }
}

/// Also when several are entered at once.
pub async fn bindings_are_by_name_and_no_more_than_they_may_be(bindings: &dyn Bindings) {
    let (acme, other) = (tenant(), tenant());
    let row = |called: &str, kind: &str| BindingRow {
        tenant: acme.clone(),
        name: EntryName::parse(called).expect("a name"),
        kind: kind.into(),
        module: ModuleRef::parse("enrich@1.0").expect("a module"),
        deadline: Duration::from_millis(1500),
        on_timeout: OnTimeout::Retry,
        changed: NOW,
    };
    let (orders, all) = (row("orders", "order.*"), row("Everything", "*"));
    bindings.put_binding(&orders, 3).await.expect("put_binding");
    bindings.put_binding(&all, 3).await.expect("put_binding");
    let moved = row("orders", "order.shipped");
    bindings.put_binding(&moved, 2).await.expect("another in its place takes no more room");
    assert_eq!(bindings.bindings(&acme).await.expect("bindings"), [all.clone(), moved.clone()]);
    assert!(bindings.bindings(&other).await.expect("bindings").is_empty());
    let (third, fourth) = (row("third", "a"), row("fourth", "b"));
    let (one, two) = tokio::join!(bindings.put_binding(&third, 3), bindings.put_binding(&fourth, 3));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert!(matches!(one.and(two), Err(Error::Conflict)));
    assert!(!bindings.delete_binding(&other, &all.name).await.expect("delete_binding"));
    assert!(bindings.delete_binding(&acme, &all.name).await.expect("delete_binding"));
    assert!(!bindings.delete_binding(&acme, &all.name).await.expect("delete_binding"));
    assert_eq!(bindings.bindings(&acme).await.expect("bindings").len(), 2);
}
