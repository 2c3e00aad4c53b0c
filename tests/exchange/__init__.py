"""What is passed on to other libraries, and what is read of theirs."""
