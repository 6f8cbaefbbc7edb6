//! A trace collector: takes spans over OTLP by gRPC, and shows them to the test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::PATIENCE;

/// A span as the collector got it, ids in hexadecimal.
#[derive(Clone, Debug)]
pub struct Seen {
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty for the first of a trace.
    pub parent: String,
    pub says: BTreeMap<String, String>,
}

type Spans = Arc<Mutex<Vec<Seen>>>;

/// Serves until it is dropped.
pub struct Collector {
    address: String,
    spans: Spans,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let spans = Spans::default();
        let service = TraceServiceServer::new(Sink(Arc::clone(&spans)));
        let serving = tokio::spawn(async move {
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        Self { address, spans, serving }
    }

    /// What makes a service send its spans here, and soon.
    pub fn environment(&self) -> Vec<(String, String)> {
        Self::environment_of(&self.address)
    }

    /// What makes a service send its spans to `endpoint`, and soon.
    pub fn environment_of(endpoint: &str) -> Vec<(String, String)> {
        let pairs = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// The spans of a trace that are here now.
    pub fn trace(&self, trace: &str) -> Vec<Seen> {
        self.spans.lock().unwrap().iter().filter(|span| span.trace == trace).cloned().collect()
    }

    /// The spans of a trace, once there are as many.
    pub async fn whole_trace(&self, trace: &str, spans: usize) -> Vec<Seen> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.trace(trace);
            if seen.len() >= spans {
                return seen;
            }
            assert!(Instant::now() < deadline, "{spans} spans of {trace} wanted, there are {seen:#?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

struct Sink(Spans);

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let of = resource.resource.map(|resource| said(&resource.attributes)).unwrap_or_default();
            let service = of.get("service.name").cloned().unwrap_or_default();
            let spans = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
            self.0.lock().unwrap().extend(spans.map(|span| seen(&service, span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn seen(service: &str, span: &Span) -> Seen {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Seen {
        service: service.to_owned(),
        name: span.name.clone(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        says: said(&span.attributes),
    }
}

fn said(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
}
