"""DeepFake Disrupter in JAX: protect a face photo against deepfakes in one forward pass."""

__version__ = "0.1.0"
