//! Rebuilds when a preset is added or removed: the compiled-in copy is read at build time.

fn main() {
    println!("cargo::rerun-if-changed=../../scenarios");
    println!("cargo::rerun-if-changed=build.rs");
}
