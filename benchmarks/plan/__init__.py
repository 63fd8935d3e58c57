"""Says what a profile takes before anyone starts it: cells, stale cells, time and disk (docs/scaling.md)."""
