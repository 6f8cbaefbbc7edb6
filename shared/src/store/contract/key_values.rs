//! Checks of [`KeyValues`].

use bytes::Bytes;

use super::super::{Expected, KeyValues, Written};
use super::tenant;
use crate::recipient::TenantId;

/// All checks.
pub async fn all(values: &dyn KeyValues) {
    a_value_is_read_as_it_was_written_and_by_nobody_else(values).await;
    a_write_is_done_only_as_expected(values).await;
    no_version_is_given_twice(values).await;
    of_two_that_write_a_version_one_does(values).await;
    a_space_has_no_more_entries_than_it_may(values).await;
}

/// One tenant's space.
struct Place<'a> {
    values: &'a dyn KeyValues,
    tenant: TenantId,
}

impl Place<'_> {
    async fn get(&self, key: &str) -> Option<(Bytes, u64)> {
        self.values.get_value(&self.tenant, "totals", key).await.expect("get_value")
    }

    async fn set(&self, key: &str, value: &'static str, expected: Expected) -> Written {
        let value = Bytes::from_static(value.as_bytes());
        let set = self.values.set_value(&self.tenant, "totals", key, &value, expected, 3).await;
        set.expect("set_value")
    }

    async fn delete(&self, key: &str, expected: Expected) -> Written {
        self.values.delete_value(&self.tenant, "totals", key, expected).await.expect("delete_value")
    }
}

fn place(values: &dyn KeyValues) -> Place<'_> {
    Place { values, tenant: tenant() }
}

fn version(written: Written) -> u64 {
    let version = if let Written::Done(version) = written { Some(version) } else { None };
    version.expect("the write is done")
}

/// Any bytes, under any key; not by another tenant, nor under another name.
pub async fn a_value_is_read_as_it_was_written_and_by_nobody_else(values: &dyn KeyValues) {
    let here = place(values);
    let bytes = Bytes::from_static(b"\x00\xff");
    for key in ["grün '\"", "a\0", "a\u{fffd}"] {
        assert_eq!(here.get(key).await, None, "{key:?}");
        let set = values.set_value(&here.tenant, "totals", key, &bytes, Expected::Anything, 3).await;
        let version = version(set.expect("set_value"));
        assert!(version > 0);
        assert_eq!(here.get(key).await, Some((bytes.clone(), version)));
    }
    let other = values.get_value(&here.tenant, "others", "a\0").await.expect("get_value");
    assert_eq!((other, place(values).get("a\0").await), (None, None));
    let empty = version(here.set("a\0", "", Expected::Anything).await);
    assert_eq!(here.get("a\0").await, Some((Bytes::new(), empty)));
}

/// Otherwise nothing of it.
pub async fn a_write_is_done_only_as_expected(values: &dyn KeyValues) {
    let here = place(values);
    assert_eq!(here.set("k", "x", Expected::Version(1)).await, Written::Conflict);
    let first = version(here.set("k", "one", Expected::Nothing).await);
    assert_eq!(here.set("k", "x", Expected::Nothing).await, Written::Conflict);
    let second = version(here.set("k", "two", Expected::Version(first)).await);
    assert!(second > first);
    assert_eq!(here.set("k", "x", Expected::Version(first)).await, Written::Conflict);
    assert_eq!(here.delete("k", Expected::Version(first)).await, Written::Conflict);
    assert_eq!(here.delete("k", Expected::Nothing).await, Written::Conflict);
    assert_eq!(here.get("k").await, Some((Bytes::from_static(b"two"), second)));
    assert_eq!(here.delete("k", Expected::Version(second)).await, Written::Done(second));
    assert_eq!(here.get("k").await, None);
    for expected in [Expected::Anything, Expected::Nothing, Expected::Version(second)] {
        assert_eq!(here.delete("k", expected).await, Written::Done(0), "one that is not there is no error");
    }
}

/// Also not after it was removed.
pub async fn no_version_is_given_twice(values: &dyn KeyValues) {
    let here = place(values);
    let mut last = 0;
    for _round in 0..3 {
        let given = version(here.set("k", "v", Expected::Anything).await);
        assert!(given > last, "{given} after {last}");
        last = given;
        assert_eq!(here.delete("k", Expected::Anything).await, Written::Done(given));
        assert_eq!(here.set("k", "v", Expected::Version(given)).await, Written::Conflict);
    }
}

/// And the other is told so.
pub async fn of_two_that_write_a_version_one_does(values: &dyn KeyValues) {
    let here = place(values);
    let (one, other) =
        tokio::join!(here.set("k", "a", Expected::Nothing), here.set("k", "b", Expected::Nothing));
    assert!((one == Written::Conflict) != (other == Written::Conflict), "{one:?} {other:?}");
    for _round in 0..4 {
        let (_value, there) = here.get("k").await.expect("the entry");
        let expected = Expected::Version(there);
        let (one, other, gone) = tokio::join!(
            here.set("k", "a", expected),
            here.set("k", "b", expected),
            here.delete("x", expected)
        );
        assert!((one == Written::Conflict) != (other == Written::Conflict), "{one:?} {other:?}");
        assert_eq!(gone, Written::Done(0));
    }
}

/// Also when several are entered at once; what is there may still be written and removed.
pub async fn a_space_has_no_more_entries_than_it_may(values: &dyn KeyValues) {
    let here = place(values);
    for key in ["a", "b"] {
        version(here.set(key, "v", Expected::Anything).await);
    }
    let (one, other) =
        tokio::join!(here.set("c", "v", Expected::Anything), here.set("d", "v", Expected::Anything));
    assert!((one == Written::Full) != (other == Written::Full), "{one:?} {other:?}");
    version(here.set("a", "again", Expected::Anything).await);
    assert_eq!(here.set("e", "v", Expected::Nothing).await, Written::Full);
    version(here.delete("a", Expected::Anything).await);
    version(here.set("e", "v", Expected::Nothing).await);
    assert_eq!(here.set("a", "v", Expected::Anything).await, Written::Full);
}
