"""Files that lpclip reads and writes: one module per layout, checksums, provenance, locks."""
