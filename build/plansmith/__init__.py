"""Plansmith: trained model in, measured and deployable Triton model repository out."""
