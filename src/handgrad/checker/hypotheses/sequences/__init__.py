"""Assignment 3: recurrent layers, word embeddings, and the loss over a sequence."""
