"""Training kit for the token classifiers that mednerd serves.

Nothing here runs on a server: a model is trained once, offline, and leaves this package as a plain
Hugging Face directory.
"""

__version__ = "0.1.0"
