"""CLIP models: their specification, weights, preprocessing and loading."""
