"""Measures Zeratul against floors in the same run, and prints ratios (design §8).

A figure means little on a shared machine; a ratio in one run means something. Every line runs its
work and what it is compared with in turns, several times, and reports the median of the ratios.
Every answer is checked: a wrong one or a server error makes the run fail, a low ratio never does.

Rules of this package: it speaks HTTP to servers that it starts itself on free ports of 127.0.0.1,
and stops by their process ids. Of Zeratul it imports nothing but ``zeratul.domain``.
"""
