"""Parts of HTML pages that need no network: escaped markup, drawings, tables, and the page around them."""
