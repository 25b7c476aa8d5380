//! The only wiring: opens the store, loads the rules, starts listeners and loops, owns shutdown.
