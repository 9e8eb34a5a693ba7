"""The page: results as figures and tables in one HTML file that needs no network and no script.

One module per section; `lpclip.reporting.page.render` puts them together. Nothing is imported here,
since the workflow reads `lpclip.reporting.page.assets` before any job starts.
"""
