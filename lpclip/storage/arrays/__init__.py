"""Arrays in files of other programs, see ``lpclip.storage.arrays.registry``."""
