"""From images and class names to their features, embedded by a model or read from files."""
