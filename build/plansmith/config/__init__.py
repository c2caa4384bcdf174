"""config.pbtxt ↔ Triton's own protobuf message of a model's configuration, and how it is made."""
