"""Pages for people: one self-contained HTML file each, that opens from the disk with no network."""

from h_dqn.report.page import page, plain
from h_dqn.report.packed import column, sheets

__all__ = ["column", "page", "plain", "sheets"]
