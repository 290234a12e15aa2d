"""Acoustic descriptors and functionals of recordings, without a model."""
