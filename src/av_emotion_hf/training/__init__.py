"""Recipes: expression recogniser, pre-training, fine-tuning, evaluation."""
