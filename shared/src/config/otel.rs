//! The standard `OTEL_*` variables, as far as they decide whether there are traces at all. Everything else of them
//! (sampler, batches, limits, headers, resource) the OpenTelemetry SDK reads itself.

/// Whether traces are wanted, as the environment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traces {
    /// Nothing asks for them.
    Off,
    /// They go to this collector, over OTLP by gRPC.
    To(String),
    /// They are asked for in a way that this version does not have, in words. They stay off.
    Unsupported(String),
}

/// Where a collector listens when traces are wanted and nothing says where (OTLP, "Default Port").
const DEFAULT_ENDPOINT: &str = "http://localhost:4317";

impl Traces {
    /// Reads the environment of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the standard names are not settings of ours")]
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        // An empty value is as good as none (OpenTelemetry, "Environment Variable Specification").
        let set = |name: &str| {
            variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let first = |names: [&str; 2]| names.into_iter().find_map(set);
        if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Self::Off;
        }
        let endpoint = first(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
        let endpoint = match (set("OTEL_TRACES_EXPORTER").as_deref(), endpoint) {
            (Some("none"), _) | (None, None) => return Self::Off,
            (None | Some("otlp"), Some(endpoint)) => endpoint,
            (Some("otlp"), None) => DEFAULT_ENDPOINT.to_owned(),
            (Some(other), _) => {
                return Self::Unsupported(format!(
                    "OTEL_TRACES_EXPORTER is {other:?}; there are otlp and none"
                ));
            }
        };
        match first(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]).as_deref() {
            None | Some("grpc") => Self::To(endpoint),
            Some(other) => {
                Self::Unsupported(format!("OTEL_EXPORTER_OTLP_PROTOCOL is {other:?}; only grpc is spoken"))
            }
        }
    }
}

/// Most spans that wait for the collector: `OTEL_BSP_MAX_QUEUE_SIZE`, and the SDK's default without it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the standard names are not settings of ours")]
pub(crate) fn most_waiting_spans() -> usize {
    let stated = std::env::var("OTEL_BSP_MAX_QUEUE_SIZE").ok().and_then(|value| value.trim().parse().ok());
    stated.filter(|most| *most > 0).unwrap_or(2048)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Traces {
        let found = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Traces::of(|name| found(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn traces_are_off_unless_an_endpoint_or_an_exporter_is_named() {
        assert_eq!(read(&[]), Traces::Off);
        assert_eq!(read(&[("OTEL_SERVICE_NAME", "x"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Traces::Off);
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        assert_eq!(read(&[endpoint]), Traces::To(endpoint.1.into()));
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317");
        assert_eq!(read(&[endpoint, own]), Traces::To(own.1.into()));
        assert_eq!(read(&[("OTEL_TRACES_EXPORTER", "otlp")]), Traces::To(DEFAULT_ENDPOINT.into()));
    }

    #[test]
    fn they_can_be_switched_off_whatever_else_is_said() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        assert_eq!(read(&[endpoint, ("OTEL_SDK_DISABLED", "True")]), Traces::Off);
        assert_eq!(read(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), Traces::Off);
    }

    #[test]
    fn what_is_not_spoken_is_said_and_not_guessed() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        for wrong in [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), ("OTEL_TRACES_EXPORTER", "zipkin")] {
            assert!(matches!(read(&[endpoint, wrong]), Traces::Unsupported(text) if text.contains(wrong.1)));
        }
    }
}
