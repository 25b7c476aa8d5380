//! Turns the yardstick's schema into Rust in OUT_DIR with protox; no protoc is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=schema");
    let descriptors = protox::compile(["muster/bench/echo.proto"], ["schema"])?;
    tonic_prost_build::configure().build_transport(false).bytes(".").compile_fds(descriptors)?;
    Ok(())
}
