"""Update rules: each mistake is a rule that is run over the same steps."""
