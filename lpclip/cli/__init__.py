"""The command ``lpclip``: its parser, and what it does besides the stages of the workflow."""

from lpclip.cli.command import main as main
