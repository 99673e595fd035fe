"""One file per model element: its typed form to a scorer of blocks of rows."""
