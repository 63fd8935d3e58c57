"""Runs stale stages side by side on Ray and records them in DVC: `python -m benchmarks.launch`."""
