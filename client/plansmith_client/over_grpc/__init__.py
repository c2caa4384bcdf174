"""The protocol over gRPC. Imported with the first client whose url asks for it, not before."""
