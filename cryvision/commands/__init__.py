"""One module a command: ``add`` describes it to the parser, ``run`` does it.

They import the standard library only; what a command needs is loaded when it runs.
"""
