//! Parsers of what Windows stores in files and in the registry.

pub mod altitude;
pub mod cert_blob;
pub mod defender_status;
pub mod image_path;
pub mod msix;
pub mod path;
pub mod product_code;
pub mod release;
pub mod signatures;
pub mod task;
pub mod text;
pub mod variables;
pub mod version_resource;
pub mod wmi;
