"""Files of models that may come from anywhere: checked, loaded and run."""
