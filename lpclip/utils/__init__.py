"""Tools that are independent of CLIP: files, randomness, progress, hashes of code."""
