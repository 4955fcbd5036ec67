"""Build a bundle: `uv run build_index.py --help` says how. Installed, this is the command `logoscope-build`."""

from index.cli.build import app

if __name__ == "__main__":
    app()
