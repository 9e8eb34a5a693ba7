"""The explorer: every image as a point on a map, in one HTML file that needs no network.

Layouts, probes and thumbnails come in; the scripts of the page do the rest. Nothing is imported
here, since the workflow reads `lpclip.reporting.explorer.assets` before any job starts.
"""
