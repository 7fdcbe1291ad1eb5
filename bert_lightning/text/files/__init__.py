"""Read text files and tables: plain text, CSV, TSV, JSON, Parquet and Arrow, compressed or not."""
