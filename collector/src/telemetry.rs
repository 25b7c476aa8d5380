//! Tracing and the metric registry.
