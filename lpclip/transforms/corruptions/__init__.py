"""Common corruptions, one module per family; see ``lpclip.transforms.corruptions.registry``."""
