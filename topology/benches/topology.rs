//! How long a network takes to build and a path to find, by size.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use topology::{DeviceId, Fabric, FabricKind, Machine, Network, Routing};

/// Eight devices and NICs a node, 64-port switches in eight planes of two tiers.
fn machine(n_nodes: u32) -> Machine {
    let rate = |text: &str| text.parse().expect("a rate");
    let bare = Machine::bare(n_nodes, 8, rate("200 GB/s"), rate("50 GB/s"));
    let fabric = Fabric { kind: FabricKind::FatTree, planes: 8, tiers: 2, switch_ports: 64, ..bare.fabric };
    Machine { fabric, ..bare }
}

fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("build");
    for n_nodes in [8, 256, 2048] {
        let machine = machine(n_nodes);
        group.throughput(Throughput::Elements(machine.n_devices()));
        group.bench_with_input(BenchmarkId::from_parameter(machine.n_devices()), &machine, |b, machine| {
            b.iter(|| Network::build(black_box(machine)))
        });
    }
    group.finish();
}

fn paths(c: &mut Criterion) {
    let network = Network::build(&machine(2048)).expect("the machine is whole");
    let n = network.n_devices();
    let mut group = c.benchmark_group("paths of 16384 devices");
    group.throughput(Throughput::Elements(u64::from(n)));
    for routing in [Routing::Static, Routing::Ecmp] {
        group.bench_function(format!("{routing:?}"), |b| {
            b.iter(|| {
                for from in 0..n {
                    // A stride that visits all nodes and planes.
                    let to = DeviceId((from * 7 + 4099) % n);
                    black_box(network.path(DeviceId(from), to, routing)).expect("connected");
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, build, paths);
criterion_main!(benches);
