"""Training kit for the models and task adapters that mednerd serves.

Nothing here runs on a server, but for `evaluate --socket`: what is trained leaves this package as a plain Hugging Face or
PEFT directory.
"""

__version__ = "0.2.0"
