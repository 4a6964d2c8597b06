"""Losses of scores: softmax and SVM."""
