"""What a checkpoint on the Hub carries: flat files that import torch, numpy, transformers and each other only."""
