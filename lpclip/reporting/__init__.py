"""Tables, figures and the page that people read, from the CSV files of the evaluation."""
