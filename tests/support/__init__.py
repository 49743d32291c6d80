"""What the tests of the whole daemon share."""
