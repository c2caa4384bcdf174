"""Models that are served as they are: in FP32 as trained, as Python, as ensembles of others."""
