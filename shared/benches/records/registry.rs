//! The packed entry of a recipient. Redis packs by scripts; what a service does itself is packing a route and reading
//! an entry.

use divan::{Bencher, black_box};
use shared::delivery::{NodeId, SessionId};
use shared::registry::{Flag, MAX_ROUTES_PER_RECIPIENT, Route};

#[allow(dead_code, reason = "the registry uses the rest of it")]
#[path = "../../src/registry/entry.rs"]
mod entry;

fn route(number: u64) -> Route {
    Route { session: SessionId(number), node: NodeId(number % 8) }
}

#[divan::bench]
fn route_pack(bencher: Bencher<'_, '_>) {
    let route = route(7);
    bencher.bench_local(|| entry::pack_route(black_box(route)));
}

#[divan::bench(args = [1, 3, MAX_ROUTES_PER_RECIPIENT as u64])]
fn entry_unpack_with_routes(bencher: Bencher<'_, '_>, routes: u64) {
    // A clean flag, with a version of three bytes.
    let version = entry::pack_version(1_000_000);
    let mut packed = vec![1 | 3 << 2];
    packed.extend_from_slice(version.as_ref());
    packed.extend((0..routes).flat_map(|number| entry::pack_route(route(number))));
    bencher.bench_local(|| entry::Entry::unpack(black_box(&packed)).unwrap());
}
