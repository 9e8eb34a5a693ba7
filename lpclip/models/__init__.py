"""CLIP models: what a configuration names, and how it is loaded."""
