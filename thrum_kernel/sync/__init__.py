"""How the log travels: cutting the journal into published files, purging, checking and showing it."""
