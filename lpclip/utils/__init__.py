"""Tools that have nothing to do with CLIP: files, randomness, progress, hashes of code."""
