//! What the collector shows: gRPC, the admin listener and the command line.
