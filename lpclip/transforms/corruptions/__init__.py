"""Common corruptions, a module per family, see ``lpclip.transforms.corruptions.registry``."""
