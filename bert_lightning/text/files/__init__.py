"""Read files of text and of rows: plain, delimited, JSON, Parquet and Arrow, compressed or not."""
