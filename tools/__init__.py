"""Programs that `make` runs: set-up, tests, demonstration."""
