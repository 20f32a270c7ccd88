"""The night's report, for four readers: on the terminal, as self-contained pages (the night, its quality results), and as a
workbook for billing staff.

All of them show one `Summary`, which is read from the register and holds counts, cents, codes and ids: no patient data.
The same register gives the same bytes.
"""
