//! Catalogue and orders: data files, embedded as defaults and overlaid by a directory.
