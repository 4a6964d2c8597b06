"""From data on disk to a trained network, in Handgrad and beside it in scikit-learn, Keras and skorch."""
