"""The subcommands of `wsadapter-supervisor`, one module each, imported when called: a command starts quickly.

Data goes to standard output, everything else to standard error. A module returns its exit code or raises a
`WsadapterError`; `wsadapter.cli.main` turns both into the process's exit.
"""
