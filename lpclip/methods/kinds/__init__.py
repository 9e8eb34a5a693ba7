"""Kinds of method and nothing else: a module per kind, see ``lpclip.methods.registry``."""
