"""``python -m lpclip`` is ``lpclip``."""

from lpclip.cli.command import main

if __name__ == "__main__":
    main()
