"""From pseudo-labels and views to trained probes."""
