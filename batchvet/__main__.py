"""``python -m batchvet`` is the command ``batchvet``."""

from batchvet.cli import main

if __name__ == "__main__":
    main()
