"""The parts of `python -m experiments.benchmark`, and what they share."""
