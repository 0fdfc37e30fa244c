"""Neural models: builders of Keras models, one file per published system."""
