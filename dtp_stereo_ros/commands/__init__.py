"""One thin module for each subcommand of `dtp-stereo`; see the table in `cli.py`."""
