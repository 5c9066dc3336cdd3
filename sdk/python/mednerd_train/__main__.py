"""`python -m mednerd_train`."""

from .cli import main

main()
