"""From CSV files of the evaluation to tables, figures and the page that people read."""
