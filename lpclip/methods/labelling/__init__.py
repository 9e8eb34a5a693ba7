"""From zero-shot predictions to pseudo-labels."""
