"""What probes are worth: from probes, features and labels to one CSV file per experiment."""
