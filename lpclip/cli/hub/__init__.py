"""Heads on the Hugging Face hub: ``lpclip push`` shares one, ``lpclip pull`` fetches one."""
