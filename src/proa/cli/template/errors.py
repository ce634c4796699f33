"""What can be wrong with a template."""

from __future__ import annotations

from proa.errors import InvalidArgument


class TemplateError(InvalidArgument):
    """The template is not well formed, or asks for what the value does not have."""
