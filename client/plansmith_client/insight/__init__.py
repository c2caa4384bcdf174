"""What calls cost: their timings, statistics, traces and logs.

What callers are given: `stats.ClientStats` and `stats.ModelStats`, `timing.CallTiming`,
`watching.Watch` and `timings.ModelTimings`.
"""
