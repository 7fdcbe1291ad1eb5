"""What the commands do: one file a verb, from a composed config to a result on disk."""
