"""`python -m batalkan`"""

from batalkan.cli import app

if __name__ == "__main__":
    app()
