"""`python -m prismicx` is the same as `prismicx`."""

from prismicx.cli import app

if __name__ == "__main__":
    app(prog_name="prismicx")
