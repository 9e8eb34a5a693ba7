"""Features of images and class names, embedded by a model or imported from files."""
