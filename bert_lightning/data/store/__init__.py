"""Prepare a corpus as a token store on disk, and read it memory-mapped."""
