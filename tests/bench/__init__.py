"""Speed, as ratios measured in one run: `make bench`, or `python -m tests.bench member_page` for one of them.

Each module here has `run()`, which yields rows of a name, a value and what is wanted of it.
"""
