"""What a user gives, files, values or texts, as calls to a served model; and what it answers."""

from plansmith.infer.asking import Answer, ask
from plansmith.infer.connection import connected

__all__ = ["Answer", "ask", "connected"]
