"""`python -m partnerhub.cli`."""

from partnerhub.cli import main

if __name__ == "__main__":
    main()
