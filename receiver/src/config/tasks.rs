//! `[receiver.tasks]`, `[receiver.modules]`, `[receiver.schedules]`: taking tasks, and what they are run by.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{Mistakes, millis};

/// `[receiver.tasks]`: asking for tasks, and looking at them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskSettings {
    /// How long a task that is on the log may keep its producer waiting until it can be looked at. Past it the answer is
    /// given all the same: an executor enters it later.
    #[serde(with = "millis")]
    pub enter_ms: Duration,
    /// How many a list has that does not say.
    pub page: u32,
    /// Most that a list may ask for.
    pub page_most: u32,
    /// How many lines of a task's history an answer has that does not say.
    pub events_page: u32,
    /// Most lines of a history that may be asked for; each may come with an attempt's log.
    pub events_page_most: u32,
    /// Memory that a page or a history reserves of `in_flight_bytes`. Past that: 503.
    pub answer_bytes: usize,
}

/// `[receiver.modules]`: taking modules in, and knowing those of tenants.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModuleSettings {
    /// Largest module. `executor.sandbox.modules.module_bytes` is the executor's.
    pub module_bytes: usize,
    /// Most versions of a tenant, of all its modules together.
    pub versions: u32,
    /// Most bindings of a tenant.
    pub bindings: u32,
    /// How many versions a list has that does not say.
    pub page: u32,
    /// Most that a list may ask for.
    pub page_most: u32,
    /// Most JSON values in the schema of a module's input, when references are replaced by what they lead to.
    pub schema_values: usize,
    /// Most modules and inputs that are checked at a time; one more waits.
    pub checks: usize,
    /// Most violations of a schema that an answer lists.
    pub violations: usize,
    /// Most pairs of a value of an input and a value of its schema that are searched for violations to list; past it an
    /// answer says only that there are some.
    pub searched: usize,
    /// How modules and bindings are looked up.
    pub lookups: LookupSettings,
}

/// `[receiver.modules.lookups]`: the caches in front of the store's modules and bindings. While the store is away what is
/// known is used, however old it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LookupSettings {
    /// How long something is used without asking the store again: the longest a change takes to be heeded.
    #[serde(with = "millis")]
    pub fresh_ms: Duration,
    /// How long a look-up may take.
    #[serde(with = "millis")]
    pub lookup_ms: Duration,
    /// How long a store that was away is left in peace about something that is known.
    #[serde(with = "millis")]
    pub retry_ms: Duration,
    /// Most entries in each of the caches.
    pub cached: u64,
    /// Most look-ups at a time in each; one more waits.
    pub lookups: usize,
}

/// `[receiver.schedules]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSettings {
    /// Most schedules of a tenant.
    pub most: u32,
    /// How many a list has that does not say.
    pub page: u32,
    /// Most that a list may ask for; each comes with its task's input.
    pub page_most: u32,
    /// Memory that a page reserves of `in_flight_bytes`. Past that: 503.
    pub answer_bytes: usize,
}

impl Default for TaskSettings {
    fn default() -> Self {
        Self {
            enter_ms: Duration::from_millis(500),
            page: 50,
            page_most: 500,
            events_page: 20,
            events_page_most: 60,
            answer_bytes: 4 * 1024 * 1024,
        }
    }
}

impl Default for ModuleSettings {
    fn default() -> Self {
        Self {
            module_bytes: 16 * 1024 * 1024,
            versions: 200,
            bindings: 100,
            page: 50,
            page_most: 200,
            schema_values: 2048,
            checks: 4,
            violations: 20,
            searched: 100_000,
            lookups: LookupSettings::default(),
        }
    }
}

impl Default for LookupSettings {
    fn default() -> Self {
        Self {
            fresh_ms: Duration::from_secs(10),
            lookup_ms: Duration::from_secs(1),
            retry_ms: Duration::from_secs(5),
            cached: 1000,
            lookups: 64,
        }
    }
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self { most: 1000, page: 20, page_most: 50, answer_bytes: 16 * 1024 * 1024 }
    }
}

impl TaskSettings {
    pub(super) fn check(&self, in_flight_bytes: usize, mistakes: &mut Mistakes) {
        mistakes.within("tasks.page_most", self.page_most, 1..=10_000);
        mistakes.within("tasks.page", self.page, 1..=self.page_most);
        mistakes.within("tasks.events_page_most", self.events_page_most, 1..=1000);
        mistakes.within("tasks.events_page", self.events_page, 1..=self.events_page_most);
        mistakes.within("tasks.answer_bytes", self.answer_bytes, 1024..=in_flight_bytes);
    }
}

impl ModuleSettings {
    pub(super) fn check(&self, in_flight_bytes: usize, mistakes: &mut Mistakes) {
        mistakes.within("modules.module_bytes", self.module_bytes, 1024..=in_flight_bytes / 2);
        mistakes.within("modules.versions", self.versions, 1..=10_000);
        mistakes.within("modules.bindings", self.bindings, 1..=1000);
        mistakes.within("modules.page_most", self.page_most, 1..=1000);
        mistakes.within("modules.page", self.page, 1..=self.page_most);
        mistakes.within("modules.schema_values", self.schema_values, 16..=100_000);
        mistakes.within("modules.checks", self.checks, 1..=256);
        mistakes.within("modules.violations", self.violations, 1..=1000);
        mistakes.within("modules.searched", self.searched, 1..=10_000_000);
        if self.lookups.lookup_ms.is_zero() {
            mistakes.report("modules.lookups.lookup_ms", "must be above zero");
        }
        mistakes.within("modules.lookups.cached", self.lookups.cached, 1..=1_000_000);
        mistakes.within("modules.lookups.lookups", self.lookups.lookups, 1..=10_000);
    }
}

impl ScheduleSettings {
    pub(super) fn check(&self, in_flight_bytes: usize, mistakes: &mut Mistakes) {
        mistakes.within("schedules.answer_bytes", self.answer_bytes, 1024..=in_flight_bytes);
        mistakes.within("schedules.most", self.most, 1..=100_000);
        mistakes.within("schedules.page_most", self.page_most, 1..=10_000);
        mistakes.within("schedules.page", self.page, 1..=self.page_most);
    }
}
