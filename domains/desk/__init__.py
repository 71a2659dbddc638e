"""The page of the help desk: few guests, plain words, large buttons."""
