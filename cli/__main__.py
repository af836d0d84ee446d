"""``python -m cli``: the ``nextbest`` command, for children of the supervisor."""

from cli.main import main

main()
