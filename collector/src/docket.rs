//! The one meeting of store and judge: takes what waits, judges it, writes hits, assessments and verdicts.
