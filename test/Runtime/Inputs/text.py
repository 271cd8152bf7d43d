#!/usr/bin/env python3
"""Prints N bytes of text with some structure: words drawn by a fixed linear congruential generator."""
import sys

WORDS = "the a miller stone grain wheel water turns slowly quickly flour bread and of under over".split()
state, text = 12345, ""
while len(text) < int(sys.argv[1]):
    state = (state * 1103515245 + 12345) % 2**31
    text += WORDS[state >> 16 & 15] + (".\n" if state >> 20 & 7 == 0 else " ")
sys.stdout.write(text[: int(sys.argv[1])])
