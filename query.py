"""Ask a bundle: `uv run query.py --help` says how. Installed, this is the command `logoscope`."""

from index.cli.query import app

if __name__ == "__main__":
    app()
