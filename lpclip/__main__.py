"""``python -m lpclip`` is ``lpclip``."""

from lpclip.cli import main

if __name__ == "__main__":
    main()
