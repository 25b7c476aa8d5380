//! One token from SIGTERM or ctrl-c.
