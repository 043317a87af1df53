"""`python -m lateint` is the command `lateint`."""

from lateint.cli import main

main()
