"""What is offered to a mitigation, the sweep over methods and strengths, and what is stated of each.

* ``encoding``: a table as (n, d) floats, numbers standardised by the training rows and categories one-hot. This is the
  ``x`` that leaves see and that ``fit`` takes with every learner but "own", which takes inputs as the model does.
* ``learners``: ``learner(given, split, seed, group=None, model=None) -> fit``. ``split`` holds the training rows and
  ``group`` their codes in the same order: what an ``objective`` of ``fit`` sees. ``model`` is the audited one, for "own".
* ``people``, ``sweep``, ``stated``, ``least``: who learns and who judges, what is fitted, what is measured, what is chosen.
"""
