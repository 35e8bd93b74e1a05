"""The programme of 2020 with made-up people: who registers when, how far each of them gets, and why no further.

`programme` says how many, `waves` when and how far, `population` who. All are pure functions, so the same seed is always the
same country.
"""
