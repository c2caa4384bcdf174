"""What the backends beside this folder share: Triton's Python backend under a C++ backend's name.

Only the standard library and NumPy (of 1.26 on) are imported here; Triton's own module only in
`service`. Each backend's model.py puts this folder's parent on the path: Triton itself puts there
nothing but the backend's own folder.
"""
