"""Similarity to loss without the matrix of similarities; across ranks; gradient caching."""
