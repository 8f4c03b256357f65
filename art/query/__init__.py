"""The language of `--where`: from words to a tree of typed tests. docs/where.md says it to users.

`syntax` reads, `fields` knows what can be asked about, `literals` what values look like, `tree` is what
comes out. Nothing here knows where the answers are: `art.sql` does.
"""
