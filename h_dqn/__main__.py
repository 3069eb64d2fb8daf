"""``python -m h_dqn`` is ``h-dqn``."""

from h_dqn.cli import main

if __name__ == "__main__":
    main()
