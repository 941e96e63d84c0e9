"""Results as one self-contained HTML page each."""

from counterpoint.report.compare import compare_page
from counterpoint.report.inspect import inspect_page

__all__ = ["compare_page", "inspect_page"]
