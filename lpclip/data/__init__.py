"""Images and labels: kinds of source, and the index that fixes the order of a dataset."""
