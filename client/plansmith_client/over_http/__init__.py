"""The protocol over HTTP. Imported with the first client whose url asks for it, not before."""
