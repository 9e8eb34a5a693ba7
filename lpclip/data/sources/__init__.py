"""Kinds of image source and nothing else: a module per kind, see ``lpclip.data.registry``."""
