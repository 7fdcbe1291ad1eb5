"""The command line: its arguments, what it says of mistakes, sweeps, and the outermost handler of errors."""
