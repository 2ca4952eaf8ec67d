"""From log-probabilities to text: `constraints` say what may follow and add penalties, `filters` and samplers choose, a
`hypothesis` takes the character."""
