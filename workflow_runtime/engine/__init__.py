"""Acts: the imperative shell around ``core`` and ``store``. No SQL word, no rule."""
