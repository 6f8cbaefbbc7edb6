//! Names that follow from a record that asks for a task: whoever runs it again, anywhere, comes to the same ones, and so
//! nobody is shown twice what it publishes. Pure.

use shared::InvalidName;
use shared::digest::Digest;
use shared::notification::NotificationId;
use shared::recipient::TenantId;
use shared::task::{ModuleName, TaskState};

/// How much of a digest a name has: 128 bits.
const DIGITS: usize = 32;

/// The id of the output at `place`, from zero.
pub(crate) fn output(
    tenant: &TenantId,
    input: &NotificationId,
    place: usize,
) -> Result<NotificationId, InvalidName> {
    id(tenant, input, &place.to_string())
}

/// The id of the notification that says that the task is in `state`, in this attempt.
pub(crate) fn progress(
    tenant: &TenantId,
    input: &NotificationId,
    state: TaskState,
    attempt: u32,
) -> Result<NotificationId, InvalidName> {
    id(tenant, input, &format!("{}.{attempt}", state.as_str()))
}

/// What a module may show to the outside so that it is recognised: the same in every attempt at `input` by `module`.
pub(crate) fn token(tenant: &TenantId, input: &NotificationId, module: &ModuleName) -> String {
    digits(&[tenant.as_str(), input.as_str(), "token", module.as_str()])
}

fn id(tenant: &TenantId, input: &NotificationId, place: &str) -> Result<NotificationId, InvalidName> {
    NotificationId::parse(&format!("t-{}", digits(&[tenant.as_str(), input.as_str(), place])))
}

/// None of the parts has a line break: no two lists of them are one text.
fn digits(parts: &[&str]) -> String {
    let mut digits = Digest::of(parts.join("\n").as_bytes()).hex();
    digits.truncate(DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_input_has_the_same_names_and_another_has_others() {
        let (acme, other) = (TenantId::parse("acme").unwrap(), TenantId::parse("other").unwrap());
        let (one, two) = (NotificationId::parse("n-1").unwrap(), NotificationId::parse("n-2").unwrap());
        let sum = ModuleName::parse("sum").unwrap();
        let names = || {
            let mut names = vec![token(&acme, &one, &sum)];
            for (tenant, input) in [(&acme, &one), (&acme, &two), (&other, &one)] {
                names.extend((0..3).map(|place| output(tenant, input, place).unwrap().as_str().to_owned()));
                for attempt in 1..3 {
                    let id = progress(tenant, input, TaskState::Running, attempt).unwrap();
                    names.push(id.as_str().to_owned());
                }
            }
            names
        };
        assert_eq!(names(), names());
        assert_eq!(names().into_iter().collect::<BTreeSet<_>>().len(), 16);
        assert_eq!(output(&acme, &one, 0).unwrap().as_str(), "t-a658f822b5b66ed3a56fe2398e8f34fd");
    }
}
