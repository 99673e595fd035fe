"""Fields, expressions, targets and output: columns in, columns out."""
