"""Tensors by shared memory: regions that a caller makes, and slots that calls take by themselves.

Protocol: docs/protocol/extension_shared_memory.md of triton-inference-server/server. The files lie
in /dev/shm and are registered with the server under their own names.
"""
