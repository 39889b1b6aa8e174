"""What `python -m experiments.table1` to `table9` share."""
