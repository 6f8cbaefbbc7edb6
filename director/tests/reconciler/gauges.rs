//! The gauges of this process, and the most that each ever showed.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use metrics::{Counter, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Name and partition, if it has one.
type Name = (String, String);

/// Gauges since they were asked for.
#[derive(Clone, Default)]
pub(crate) struct Gauges(Arc<Mutex<BTreeMap<Name, Shown>>>);

#[derive(Clone, Copy)]
struct Shown {
    now: f64,
    most: f64,
}

/// Whom the recorder shows to.
static WATCHING: LazyLock<Mutex<Gauges>> = LazyLock::new(|| {
    // The first of this process, and nobody else installs one.
    metrics::set_global_recorder(Watch).ok();
    Mutex::default()
});

/// Gauges that have shown nothing yet; those handed out before are shown nothing any more.
pub(crate) fn fresh() -> Gauges {
    let gauges = Gauges::default();
    *WATCHING.lock().unwrap() = gauges.clone();
    gauges
}

impl Gauges {
    pub(crate) fn of(&self, name: &str, partition: &str) -> Option<f64> {
        let all = self.0.lock().unwrap();
        all.get(&(name.to_owned(), partition.to_owned())).map(|shown| shown.now)
    }

    pub(crate) fn now(&self, name: &str) -> f64 {
        self.of(name, "").unwrap_or(f64::NAN)
    }

    pub(crate) fn most(&self, name: &str) -> f64 {
        self.0.lock().unwrap().get(&(name.to_owned(), String::new())).map_or(f64::NAN, |shown| shown.most)
    }
}

struct Watch;

struct Watched(Name);

impl GaugeFn for Watched {
    fn increment(&self, _value: f64) {}
    fn decrement(&self, _value: f64) {}
    fn set(&self, value: f64) {
        let gauges = WATCHING.lock().unwrap().clone();
        let mut all = gauges.0.lock().unwrap();
        let shown = all.entry(self.0.clone()).or_insert(Shown { now: value, most: value });
        *shown = Shown { now: value, most: shown.most.max(value) };
    }
}

impl Recorder for Watch {
    fn describe_counter(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}
    fn describe_gauge(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}
    fn describe_histogram(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn register_counter(&self, _key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        let partition = key.labels().find(|label| label.key() == "partition");
        let partition = partition.map(|label| label.value().to_owned()).unwrap_or_default();
        Gauge::from_arc(Arc::new(Watched((key.name().to_owned(), partition))))
    }

    fn register_histogram(&self, _key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
