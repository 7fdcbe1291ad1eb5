"""The command line: arguments, overrides, sweeps, messages for mistakes, and the outermost handler of errors."""
