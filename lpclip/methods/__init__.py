"""From pseudo-labels and features to probes."""
