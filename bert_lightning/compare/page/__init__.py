"""The page of a comparison: one HTML file that opens from the file system."""

from bert_lightning.compare.page.document import page_html, write_page

__all__ = ["page_html", "write_page"]
