"""`python -m proa.runtime.cli`: what the launcher does, the ordinary way."""

from __future__ import annotations

from proa.runtime.cli.main import main

if __name__ == "__main__":
    main()
