"""Changes of images: corruptions of the evaluation, views of the training."""
