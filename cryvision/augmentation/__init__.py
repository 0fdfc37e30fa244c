"""Sound that is altered or made for training."""
