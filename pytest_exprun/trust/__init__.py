"""May a stored run stand? What it was made of (`identity`), what it touched (`files`), and where it is kept (`store`).

In comes a run, stored or about to be; out comes whether it counts for the code, the data and the machine of now.
"""
