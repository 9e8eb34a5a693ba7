"""The page: results as figures and tables in one HTML file that needs no network and no script.

One module per section; `lpclip.page.render` puts them together. Nothing is imported here, since the
workflow asks `lpclip.page.assets` before any job starts.
"""
