"""Pages for people: one self-contained HTML file each, that opens from the disk with no network."""

from h_dqn.report.packed import column, sheets
from h_dqn.report.page import page, plain

__all__ = ["column", "page", "plain", "sheets"]
