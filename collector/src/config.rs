//! Settings, layered: defaults, file, directory, environment, flags; every fault is reported at once.
