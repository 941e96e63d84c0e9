"""A person goes through the suggestions of `counterpoint reannotate` and decides.

One concern a file: `store` keeps decisions, `intake` brings findings in, `queries` reads pages,
`export` writes decisions and the corrected corpus, `rerank` learns from decisions, `pictures` shows
files, `guard` refuses strangers, `server` answers a browser.
"""
