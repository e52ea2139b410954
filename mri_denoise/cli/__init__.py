"""The command line: one small module a subcommand, none of which imports torch before there is work to do."""
