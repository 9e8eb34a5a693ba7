"""Views of unlabelled images; see ``lpclip.transforms.views.policies``."""
