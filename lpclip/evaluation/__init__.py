"""Evaluation of probes: from probes, features and labels to CSV files per experiment."""
