"""The commands, one module for each verb: from a composed config to a result on disk."""
