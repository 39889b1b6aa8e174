"""Photographs in, batches out: sources (faces, synthetic), decoding (images), pipeline."""
