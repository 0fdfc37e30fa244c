"""The page of ``cryvision serve`` and its server: see, hear and correct what was found."""
