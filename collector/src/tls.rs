//! The collector's CA, the server certificate and the rustls acceptor.
