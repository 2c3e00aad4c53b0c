"""The web page over trace, attribution and runs; it computes nothing of its own.

`shelf` holds what stays open (catalogue, index, pictures asked about), `app` the addresses, `pages`
what each shows, `safety` who may ask, `decoding` what is let in. Only the command line imports it.
"""
