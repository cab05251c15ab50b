"""``python -m fmaudit``."""

from fmaudit.cli import main

if __name__ == "__main__":
    main()
