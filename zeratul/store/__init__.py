"""Storage engines behind one small interface. Knows no rewrites and no graph algorithm."""
