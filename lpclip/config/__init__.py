"""The configuration: checked before the first job, and turned into what each stage is given."""
