"""Results as one self-contained HTML page each."""

from counterpoint.report.compare import compare_page

__all__ = ["compare_page"]
