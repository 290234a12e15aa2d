"""Emotion recognition from voice and face."""

__version__ = "0.1.0"
