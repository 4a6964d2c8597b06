"""What joins layers: sandwiches, and models with their regularisation."""
