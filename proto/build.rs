//! Compiles `schema/` to Rust in OUT_DIR with protox, so that no protoc is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=schema");
    let files = ["muster/v1/agent.proto", "muster/v1/fleet.proto"];
    let descriptors = protox::compile(files, ["schema"])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    let bytes = prost::Message::encode_to_vec(&descriptors);
    std::fs::write(out.join("descriptors.bin"), bytes)?;
    tonic_prost_build::configure().build_transport(false).bytes(".").compile_fds(descriptors)?;
    Ok(())
}
